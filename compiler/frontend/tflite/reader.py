# SPDX-License-Identifier: Apache-2.0
"""TFLite files: checks that keep damaged ones away from native code, then TVM's Relax importer."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

from tinytailor.compiler.frontend.importer import MAX_ELEMENTS, Imported, Quantization
from tinytailor.compiler.frontend.names import identifier
from tinytailor.compiler.frontend.onnx.reader import QUANTIZE_FIRST
from tinytailor.compiler.frontend.relax_calls import read
from tinytailor.compiler.frontend.report import (
    Origin,
    Unsupported,
    attempt,
    first_line,
    place,
    unsupported_error,
)
from tinytailor.compiler.frontend.tflite import operators
from tinytailor.compiler.ir import Shape
from tinytailor.targets.errors import InputError

# The operators with a form in match.py; everything else is listed without asking TVM.
IMPORTED = {
    "ADD",
    "AVERAGE_POOL_2D",
    "CONCATENATION",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "DEQUANTIZE",
    "FULLY_CONNECTED",
    "HARD_SWISH",
    "LEAKY_RELU",
    "LOGISTIC",
    "MAX_POOL_2D",
    "MEAN",
    "MUL",
    "PAD",
    "PADV2",
    "QUANTIZE",
    "REDUCE_MAX",
    "RELU",
    "RELU6",
    "RELU_N1_TO_1",
    "RESHAPE",
    "SOFTMAX",
    "SQUEEZE",
    "SUB",
    "TANH",
    "TRANSPOSE",
    *operators.CONVERSIONS,
    *("ABS", "CEIL", "COS", "EXP", "FLOOR", "LOG", "MAXIMUM", "MINIMUM", "NEG", "POW", "ROUND"),
    *("RSQRT", "SIN", "SQRT"),
    *("ARG_MAX", "ARG_MIN", "REDUCE_MIN", "SUM"),
    "DEPTH_TO_SPACE",
    "EXPAND_DIMS",
    "SPACE_TO_DEPTH",
    "TRANSPOSE_CONV",
}
HINTS: dict[str, str] = {}
DAMAGED = "cannot be read as a TFLite model: it is damaged or not a TFLite file"


def import_tflite(data: bytes, path: Path, name: str) -> Imported:
    """``data``: the bytes of ``path``; ``name`` names the graph. InputError if it is unusable."""
    if len(data) < 32 or data[4:8] != b"TFL3":
        raise InputError(f"{path.name} {DAMAGED} (it does not carry the identifier TFL3)")
    try:
        model, subgraph = opened(data, path.name)
        quantization = check_tensors(model, subgraph, path.name)
        unsupported = listed(model, subgraph)
        function, origins, more = converted(model)
    except InputError:
        raise
    except Exception as error:  # any bytes may be given: every failure is about the file
        raise InputError(f"{path.name} {DAMAGED} ({first_line(error)})") from None
    found = [*unsupported, *more]
    if function is None:
        raise unsupported_error(found)
    return Imported(name, read(function, origins), False, quantization, found)


def opened(data: bytes, file: str) -> tuple[Any, Any]:
    import tflite

    model = tflite.Model.GetRootAsModel(data, 0)
    count = model.SubgraphsLength()
    if count != 1:
        raise InputError(f"{file} has {count} subgraphs, expected 1 (no control flow)")
    subgraph = model.Subgraphs(0)
    lengths = (
        subgraph.OperatorsLength(),
        subgraph.TensorsLength(),
        model.BuffersLength(),
        model.OperatorCodesLength(),
    )
    if max(lengths) * 4 > len(data) or min(lengths) < 1:
        raise InputError(f"{file} {DAMAGED} (its tables are longer than the file)")
    return model, subgraph


def operator_name(model: Any, operator: Any) -> str:
    import tflite

    code = model.OperatorCodes(operator.OpcodeIndex())
    builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    names = {number: text for text, number in vars(tflite.BuiltinOperator).items()}
    return str(names.get(builtin, f"operator code {builtin}"))


def origin_of(model: Any, subgraph: Any, operator: Any) -> Origin:
    name = operator_name(model, operator)
    text = subgraph.Tensors(operator.Outputs(0)).Name().decode("utf-8", "replace")
    return Origin(name, place("tensor", text), "", identifier(text, name.lower()))


def listed(model: Any, subgraph: Any) -> list[Unsupported]:
    found = []
    for index in range(subgraph.OperatorsLength()):
        origin = origin_of(model, subgraph, subgraph.Operators(index))
        if origin.operator not in IMPORTED:
            found.append(Unsupported(origin, HINTS.get(origin.operator, "")))
    return found


def check_tensors(model: Any, subgraph: Any, file: str) -> dict[str, Quantization]:
    """The quantization of integer inputs by tensor name, after ``check_structure``."""
    import tflite

    check_structure(model, subgraph, file)
    if not is_quantized(model, subgraph):
        raise InputError(f"{file} {QUANTIZE_FIRST}")
    check_weights(model, subgraph, file)
    found: dict[str, Quantization] = {}
    for index in range(subgraph.InputsLength()):
        tensor = subgraph.Tensors(subgraph.Inputs(index))
        scale = scale_of(tensor)
        if scale and tensor.Type() in (tflite.TensorType.INT8, tflite.TensorType.UINT8):
            quantization = tensor.Quantization()
            zero = int(quantization.ZeroPoint(0)) if quantization.ZeroPointLength() else 0
            found[tensor.Name().decode()] = (scale[0], zero)
    return found


def check_structure(model: Any, subgraph: Any, file: str) -> None:
    """Bounds of every index and size, and batch 1."""
    tensors = [subgraph.Tensors(index) for index in range(subgraph.TensorsLength())]
    for tensor in tensors:
        shape = shape_of(tensor)
        if len(shape) > 6 or any(size < 0 for size in shape) or prod(shape) > MAX_ELEMENTS:
            where = place("tensor", tensor.Name().decode("utf-8", "replace"))
            raise InputError(f"{file}: {where} has shape {shape[:6]}, which fits no device")
        if not 0 <= tensor.Buffer() < model.BuffersLength():
            raise InputError(f"{file} {DAMAGED} (a buffer index is out of range)")
    for index in range(subgraph.OperatorsLength()):
        check_operator(model, subgraph.Operators(index), len(tensors), file)
    for index in range(subgraph.InputsLength()):
        if not 0 <= subgraph.Inputs(index) < len(tensors):
            raise InputError(f"{file} {DAMAGED} (a tensor index is out of range)")
        shape = shape_of(tensors[subgraph.Inputs(index)])
        if not shape or shape[0] != 1:
            raise InputError(f"{file}: an input has shape {shape}, expected batch 1")


def is_quantized(model: Any, subgraph: Any) -> bool:
    """Whether any operator computes a quantized tensor."""
    import tflite

    integers = (tflite.TensorType.INT8, tflite.TensorType.UINT8)
    operators = [subgraph.Operators(index) for index in range(subgraph.OperatorsLength())]
    results = [subgraph.Tensors(operator.Outputs(0)) for operator in operators]
    searches = (o for o in operators if operator_name(model, o) in ("ARG_MAX", "ARG_MIN"))
    results += [subgraph.Tensors(o.Inputs(0)) for o in searches]  # their results are places
    return any(scale_of(tensor) for tensor in results if tensor.Type() in integers)


def check_weights(model: Any, subgraph: Any, file: str) -> None:
    """uint8 weights have zero points; only files of before TensorFlow 2.3 hold such."""
    import tflite

    for index in range(subgraph.OperatorsLength()):
        operator = subgraph.Operators(index)
        kind = operator_name(model, operator)
        if kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            continue
        if operator.InputsLength() < 2 or operator.Inputs(1) < 0:
            continue
        if subgraph.Tensors(operator.Inputs(1)).Type() == tflite.TensorType.UINT8:
            raise InputError(
                f"{file} is quantized to uint8, with zero points for its weights, as TensorFlow 1 "
                "did; convert the model again with TensorFlow 2.3 or newer, which writes int8"
            )


def shape_of(tensor: Any) -> Shape:
    return tuple(int(tensor.Shape(axis)) for axis in range(tensor.ShapeLength()))


def scale_of(tensor: Any) -> list[float]:
    quantization = tensor.Quantization()
    if quantization is None:
        return []
    return [float(quantization.Scale(i)) for i in range(min(quantization.ScaleLength(), 1))]


def check_operator(model: Any, operator: Any, tensors: int, file: str) -> None:
    """Indices in range, strides and filters positive: TVM divides by them in native code."""
    import tflite

    used = [operator.Inputs(i) for i in range(operator.InputsLength())]
    used += [operator.Outputs(i) for i in range(operator.OutputsLength())]
    if not operator.OutputsLength() or not all(-1 <= index < tensors for index in used):
        raise InputError(f"{file} {DAMAGED} (a tensor index is out of range)")
    kinds = {
        "CONV_2D": (tflite.Conv2DOptions, ("StrideH", "StrideW", *DILATIONS)),
        "DEPTHWISE_CONV_2D": (tflite.DepthwiseConv2DOptions, ("StrideH", "StrideW", *DILATIONS)),
        "AVERAGE_POOL_2D": (tflite.Pool2DOptions, POOLING),
        "MAX_POOL_2D": (tflite.Pool2DOptions, POOLING),
        "TRANSPOSE_CONV": (tflite.TransposeConvOptions, ("StrideH", "StrideW")),
    }
    kind = operator_name(model, operator)
    if kind not in kinds:
        return
    table, fields = kinds[kind]
    options = table()
    raw = operator.BuiltinOptions()
    if raw is None:
        raise InputError(f"{file} {DAMAGED} ({kind} has no options)")
    options.Init(raw.Bytes, raw.Pos)
    for field in fields:
        value = getattr(options, field)()
        if not 1 <= value <= 4096:
            raise InputError(f"{file}: {kind} has {field} {value}, expected 1 to 4096")


POOLING = ("StrideH", "StrideW", "FilterHeight", "FilterWidth")
DILATIONS = ("DilationHFactor", "DilationWFactor")


def converted(model: Any) -> tuple[Any, dict[str, Origin], list[Unsupported]]:
    """(Relax function or None, Relax variable -> operator, operators TVM refused)."""
    from tvm.relax.frontend.tflite import from_tflite

    origins: dict[str, Origin] = {}
    unsupported: list[Unsupported] = []
    converter = named_converter(origins, unsupported)
    main, failure = attempt(lambda: from_tflite(model, op_converter=converter)["main"])
    if main is None and not unsupported:
        raise ValueError(failure)
    return main, origins, unsupported


def named_converter(origins: dict[str, Origin], unsupported: list[Unsupported]) -> type:
    """TVM's converter, which also names each operator's last variable and survives refusals."""
    from tvm import relax
    from tvm.relax.frontend.tflite.tflite_frontend import OperatorConverter, get_tensor_name

    class NamedConverter(OperatorConverter):
        def check_unsupported_ops(self) -> None:
            """Done before, with names: see ``listed``."""

        def get_tensors(self, tensors_idx_list: Any) -> Any:
            """One scale belongs to no axis: files with a single channel name that channel's."""
            tensors = super().get_tensors(tensors_idx_list)
            for tensor in tensors:
                if tensor.qnn_params and prod(tensor.qnn_params["scale"].value.numpy().shape) == 1:
                    tensor.qnn_params["axis"] = 0
            return tensors

        def convert_op_to_relax(self) -> None:
            for index in range(self.subgraph.OperatorsLength()):
                operator = self.subgraph.Operators(index)
                origin = origin_of(self.model, self.subgraph, operator)
                result = self.convert_one(operator, origin)
                for number, part in enumerate(result if isinstance(result, list) else [result]):
                    variable = self.bb.emit(part, f"op_{index}")
                    origins[str(variable.name)] = origin
                    tensor = get_tensor_name(self.subgraph, operator.Outputs(number))
                    self.exp_tab.set_expr(tensor, variable)

        def convert_one(self, operator: Any, origin: Origin) -> Any:
            if origin.operator not in IMPORTED:
                return self.opaque(operator, origin)
            try:
                if origin.operator == "FULLY_CONNECTED":
                    return fully_connected(self, operator)
                conversion = operators.CONVERSIONS.get(origin.operator)
                if conversion is not None:
                    return conversion(self, operator)
                result = self.convert_map[origin.operator](op=operator)
                if origin.operator == "TRANSPOSE_CONV":
                    self.check_shape(operator, result)
                return result
            except Exception as error:
                unsupported.append(Unsupported(origin, f"the importer says: {first_line(error)}"))
                return self.opaque(operator, origin)

        def check_shape(self, operator: Any, result: Any) -> None:
            """The size of the output is an input of the operator, which TVM computes itself."""
            size = tuple(int(n) for n in self.bb.normalize(result).ty.shape.values)
            expected = shape_of(self.subgraph.Tensors(operator.Outputs(0)))
            if size != expected:
                raise ValueError(f"its output has shape {expected}, expected {size}")

        def opaque(self, operator: Any, origin: Origin) -> Any:
            """One call that only holds the place of an operator without a form."""
            tensor = self.subgraph.Tensors(operator.Outputs(0))
            dtype = self.get_tensor_type_str(tensor.Type())
            known = [
                self.exp_tab.get_expr(get_tensor_name(self.subgraph, operator.Inputs(index)))
                for index in range(operator.InputsLength())
                if self.has_expr(operator.Inputs(index))
            ]
            out_type = relax.TensorType(shape=shape_of(tensor), dtype=dtype)
            return relax.op.call_dps_packed(origin.operator, relax.Tuple(known), out_type)

    return NamedConverter


def fully_connected(converter: Any, operator: Any) -> Any:
    """The layer on rows of features, whatever the axes of its input: a map may be one row."""
    from tvm import relax
    from tvm.relax.frontend.tflite.tflite_frontend import get_tensor_name

    tensor, weight = converter.get_input_tensors(operator)[:2]
    name, table = get_tensor_name(converter.subgraph, tensor.tensor_idx), converter.exp_tab
    whole = table.get_expr(name)
    features = shape_of(weight.tensor)[-1]
    rows = (prod(shape_of(tensor.tensor)) // features, features)
    if shape_of(tensor.tensor) != rows:
        flat = converter.bb.emit(relax.op.reshape(whole, rows))
        table.set_expr(name, flat, force_override=True)
    try:
        result = converter.bb.emit(converter.convert_map["FULLY_CONNECTED"](op=operator))
        expected = shape_of(converter.subgraph.Tensors(operator.Outputs(0)))  # keep_num_dims
        if tuple(int(size) for size in result.ty.shape.values) == expected:
            return result
        return relax.op.reshape(result, expected)
    finally:
        table.set_expr(name, whole, force_override=True)  # others may read it as a map
