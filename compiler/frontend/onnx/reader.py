# SPDX-License-Identifier: Apache-2.0
"""ONNX files: checks with the file's own names, QDQ form, then TVM's Relax importer."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from tinytailor.compiler.frontend.importer import Imported
from tinytailor.compiler.frontend.names import identifier
from tinytailor.compiler.frontend.onnx import constants, float_operators, operators, qoperator
from tinytailor.compiler.frontend.onnx.windows import check_windows, resolve_windows
from tinytailor.compiler.frontend.relax_calls import read
from tinytailor.compiler.frontend.report import (
    Origin,
    Unsupported,
    attempt,
    first_line,
    place,
    unsupported_error,
)
from tinytailor.compiler.frontend.rules import square_deform
from tinytailor.compiler.ir import Shape
from tinytailor.targets.errors import InputError

OWN_DOMAIN = "tinytailor"
OWN = {square_deform.NAME.removeprefix(f"{OWN_DOMAIN}.")}
# The operators with a form in match.py; everything else is listed without asking TVM.
IMPORTED = {
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "ConvTranspose",
    "DeformConv",
    "DequantizeLinear",
    "Div",
    "Elu",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "MatMul",
    "MaxPool",
    "Mul",
    "QuantizeLinear",
    "ReduceMax",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Round",
    "Sigmoid",
    "Softmax",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    *operators.CONVERSIONS,
    *(
        "Abs",
        "Ceil",
        "Cos",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "Log",
        "Mish",
        "Neg",
        "Pow",
        "Reciprocal",
    ),
    *("Round", "Selu", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "ThresholdedRelu"),
    *("ArgMax", "ArgMin", "ReduceL1", "ReduceMin", "ReduceSum", "ReduceSumSquare"),
    "DepthToSpace",
    "SpaceToDepth",
}
STATIC = "quantize statically, with calibration data"
CHANNELS_LAST = ("tinytailor.layout", "channels last")  # what the metadata of a model may say
OVER_TIME = "use convolutions over time"
BATCH_NORM = "use BatchNormalization, which becomes part of the layer before it"
FIXED = "export the model with a fixed batch of 1 and constant shapes"
HINTS = {
    "ConvInteger": STATIC,
    "MatMulInteger": STATIC,
    "DynamicQuantizeLinear": STATIC,
    "Shape": FIXED,
    "LSTM": OVER_TIME,
    "GRU": OVER_TIME,
    "RNN": OVER_TIME,
    "LayerNormalization": BATCH_NORM,
    "InstanceNormalization": BATCH_NORM,
    "GroupNormalization": BATCH_NORM,
    "Einsum": "use MatMul, or a 1x1 Conv",
    "LogSoftmax": "end with the logits or with Softmax, the best class is the same",
}
QUANTIZE_FIRST = (
    "is a float model: give samples of its inputs with --calibration X.npz (in Python: "
    "load_model(path, calibration=...)), and it is quantized to int8"
)
DAMAGED = "cannot be read as an ONNX model: it is damaged or not an ONNX file"


def import_onnx(data: bytes, path: Path, name: str, allow_float: bool = False) -> Imported:
    """``data``: the bytes of ``path``; ``name`` names the graph. InputError if it is unusable.

    ``allow_float``: with the operators that can be compiled in float.
    """
    imported = IMPORTED | float_operators.OPERATORS if allow_float else IMPORTED
    try:
        model = opened(data, path.parent)
        graph = model.graph
        check_quantized(graph, path.name)
        fix_batch(graph, path.name)
        qoperator.rewrite(model)
        constants.fold(model)
        unsupported = listed(model, imported)
        channels_last = any(
            (item.key, item.value) == CHANNELS_LAST for item in model.metadata_props
        )
        widen_int4(graph, path.name)
        check_windows(graph, path.name)
        function, origins, more = converted(model, imported)
    except InputError:
        raise
    except Exception as error:  # any bytes may be given: every failure is about the file
        raise InputError(f"{path.name} {DAMAGED} ({first_line(error)})") from None
    found = [*unsupported, *more]
    if function is None:
        raise unsupported_error(found)
    return Imported(name, read(function, origins), not channels_last, {}, found)


def opened(data: bytes, folder: Path) -> Any:
    import onnx
    from onnx.external_data_helper import load_external_data_for_model

    model = onnx.load_model_from_string(data)
    if not model.graph.node:
        raise ValueError("it has no nodes")
    load_external_data_for_model(model, str(folder))
    return model


def check_quantized(graph: Any, file: str) -> None:
    if not is_quantized(graph):
        raise InputError(f"{file} {QUANTIZE_FIRST}")


def is_quantized(graph: Any) -> bool:
    """Whether any node computes with integers that stand for real numbers."""
    kinds = {node.op_type for node in graph.node}
    integer = {"QuantizeLinear", "DequantizeLinear", *(k for k in HINTS if HINTS[k] == STATIC)}
    return bool(kinds & integer) or any(
        (node.domain, node.op_type) in qoperator.REWRITES for node in graph.node
    )


def opset(model: Any, domain: str) -> int:
    names = ("", "ai.onnx") if domain in ("", "ai.onnx") else (domain,)
    return next((int(s.version) for s in model.opset_import if s.domain in names), 1)


def full_name(node: Any) -> str:
    standard = node.domain in ("", "ai.onnx")
    return str(node.op_type if standard else f"{node.domain}.{node.op_type}")


def supported(node: Any, imported: AbstractSet[str]) -> bool:
    if node.domain == OWN_DOMAIN:
        return node.op_type in OWN
    return node.domain in ("", "ai.onnx") and node.op_type in imported


def origin_of(model: Any, node: Any) -> Origin:
    """Named by the node, or by its output where the node has no name."""
    output = node.output[0] if node.output else ""
    kind, text = ("node", node.name) if node.name else ("output", output)
    label = identifier(node.name or output, node.op_type.lower())
    operator = qoperator.metadata(node, qoperator.OPERATOR) or full_name(node)
    return Origin(operator, place(kind, text), f"(opset {opset(model, node.domain)})", label)


def listed(model: Any, imported: AbstractSet[str]) -> list[Unsupported]:
    return [
        Unsupported(
            origin_of(model, node),
            qoperator.metadata(node, qoperator.REASON) or HINTS.get(node.op_type, ""),
        )
        for node in model.graph.node
        if not supported(node, imported)
    ]


def fix_batch(graph: Any, file: str) -> None:
    """Inputs get batch 1; any other free size is the user's to fix."""
    constants = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        if value.name in constants:
            continue
        sizes = value.type.tensor_type.shape.dim
        for axis, size in enumerate(sizes):
            fixed = size.HasField("dim_value") and size.dim_value > 0
            if axis == 0 and not fixed:
                size.dim_value = 1
            elif not fixed:
                raise InputError(
                    f"{file}: input {value.name} has a dynamic size "
                    f"{size.dim_param or '?'} on axis {axis}; export the model with fixed shapes"
                )
        if not sizes or sizes[0].dim_value != 1:
            shape = tuple(size.dim_value for size in sizes)
            raise InputError(
                f"{file}: input {value.name} has shape {shape}, expected batch 1 in front"
            )


def widen_int4(graph: Any, file: str) -> None:
    """4-bit constants become int8 ones of the same numbers, which the importer can hold."""
    import numpy as np
    from onnx import TensorProto, numpy_helper

    narrow = {TensorProto.INT4: np.int8, TensorProto.UINT4: np.uint8}
    rounded = {
        name for node in graph.node if node.op_type == "QuantizeLinear" for name in node.input
    }
    for tensor in graph.initializer:
        if tensor.data_type in narrow:
            if tensor.name in rounded:  # its clamp to 4 bits would be lost
                raise InputError(
                    f"{file}: {tensor.name} asks QuantizeLinear for 4 bits; expected int8 "
                    "activations, and 4-bit weights stored as constants before DequantizeLinear"
                )
            array = numpy_helper.to_array(tensor).astype(narrow[tensor.data_type])
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def converted(
    model: Any, imported: AbstractSet[str]
) -> tuple[Any, dict[str, Origin], list[Unsupported]]:
    """(Relax function or None, Relax variable -> operator, nodes TVM refused)."""
    unsupported: list[Unsupported] = []
    origins: dict[str, Origin] = {}
    nodes = {}
    for index, node in enumerate(model.graph.node):
        nodes[f"op_{index}"] = (node, origin_of(model, node))
    types = inferred_types(model)
    for label, (node, _) in nodes.items():
        node.name = label

    def build() -> Any:
        importer = named_importer(nodes, origins, unsupported, types, imported)
        return importer.from_onnx(model.graph, opset(model, ""))["main"]

    main, failure = attempt(build)
    known = all(supported(node, imported) for node, _ in nodes.values())
    if main is None and not unsupported and known:
        raise ValueError(failure)
    return main, origins, unsupported


def inferred_types(model: Any) -> dict[str, tuple[Shape, str]]:
    """Shape and dtype of every tensor that ONNX can infer: they stand in for refused nodes."""
    import onnx
    import onnx.shape_inference

    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]  # what the file says may hold another batch
    for value in bare.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(bare, data_prop=True)
    except Exception:  # an invalid model: without types only the listing of its operators is made
        return {}
    types = {}
    for value in [*inferred.graph.value_info, *inferred.graph.output]:
        tensor = value.type.tensor_type
        sizes = [size.dim_value for size in tensor.shape.dim]
        if tensor.HasField("shape") and all(size > 0 for size in sizes):
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
            types[value.name] = (tuple(sizes), dtype)
    return types


def named_importer(
    nodes: Mapping[str, tuple[Any, Origin]],
    origins: dict[str, Origin],
    unsupported: list[Unsupported],
    types: Mapping[str, tuple[Shape, str]],
    imported: AbstractSet[str],
) -> Any:
    """TVM's importer, which also names each node's variable and survives refusals."""
    from tvm import relax
    from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter

    floats = imported >= float_operators.OPERATORS
    conversions = {**operators.CONVERSIONS, **float_operators.CONVERSIONS}

    class NamedImporter(ONNXGraphImporter):
        def _check_for_unsupported_ops(self, graph: Any) -> None:
            """Done before, with names: see ``listed``."""

        def _convert_operator(self, op_name: str, inputs: Any, attrs: Any, version: int) -> Any:
            label = attrs["tvm_custom"]["name"]
            node, origin = nodes[label]
            try:
                result = self.convert_one(node, inputs, attrs, version)
            except Exception as error:
                unsupported.append(Unsupported(origin, f"the importer says: {first_line(error)}"))
                result = opaque(node, inputs, types, imported)
            if isinstance(result, list | relax.Tuple):
                return relax.Tuple([self.named(part, label, origin) for part in result])
            return self.named(result, label, origin)

        def named(self, result: Any, label: str, origin: Origin) -> Any:
            if type(result).__name__ != "Call":
                if isinstance(result, relax.Var):  # a call that the conversion emitted itself
                    origins.setdefault(str(result.name), origin)
                return result
            variable = self.bb.emit(result, label)
            origins[str(variable.name)] = origin
            return variable

        def convert_one(self, node: Any, inputs: Any, attrs: Any, version: int) -> Any:
            if not supported(node, imported) or node.domain == OWN_DOMAIN:
                return opaque(node, inputs, types, imported)
            needed = inputs if node.op_type == "Concat" else inputs[:1]
            missing = not needed or any(item is None for item in needed)
            if node.op_type != "Constant" and missing:
                raise ValueError("an input is missing")
            resolve_windows(node, inputs, attrs)
            conversion = conversions.get(node.op_type)
            if floats and float_operators.left_to_tvm(node.op_type, attrs):
                conversion = None
            if conversion is not None:
                parts = conversion(
                    [None if i is None else self.bb.normalize(i) for i in inputs], attrs
                )
                return parts if len(parts) > 1 else parts[0]
            return super()._convert_operator(node.op_type, inputs, attrs, version)

    return NamedImporter({}, "float32")


def opaque(
    node: Any, inputs: Any, types: Mapping[str, tuple[Shape, str]], imported: AbstractSet[str]
) -> Any:
    """One call in the place of a node that TVM does not know."""
    from tvm import relax

    known = [item for item in inputs if item is not None]
    if node.domain == OWN_DOMAIN and supported(node, imported):
        out_type = known[0].ty  # its map has the shape of its input
    else:
        shape, dtype = types[node.output[0]]  # KeyError: nothing behind it can be checked
        out_type = relax.TensorType(shape=shape, dtype=dtype)
    return relax.op.call_dps_packed(full_name(node), relax.Tuple(known), out_type)
