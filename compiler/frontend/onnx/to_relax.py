# SPDX-License-Identifier: Apache-2.0
"""An ONNX model through TVM's importer, so that every call knows the node it came from and a node
that is refused leaves the others alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinytailor.compiler.frontend.names import identifier
from tinytailor.compiler.frontend.onnx import qoperator
from tinytailor.compiler.frontend.onnx.model_file import opset
from tinytailor.compiler.frontend.report import Origin, Unsupported, attempt, first_line, place
from tinytailor.compiler.frontend.rules.rule import Onnx
from tinytailor.compiler.ir import Shape

Forms = Mapping[str, Onnx]  # by full name: the operators that are imported


def full_name(node: Any) -> str:
    standard = node.domain in ("", "ai.onnx")
    return str(node.op_type if standard else f"{node.domain}.{node.op_type}")


def origin_of(model: Any, node: Any) -> Origin:
    """Named by the node, or by its output where the node has no name."""
    output = node.output[0] if node.output else ""
    kind, text = ("node", node.name) if node.name else ("output", output)
    label = identifier(node.name or output, node.op_type.lower())
    operator = qoperator.metadata(node, qoperator.OPERATOR) or full_name(node)
    return Origin(operator, place(kind, text), f"(opset {opset(model, node.domain)})", label)


def converted(model: Any, forms: Forms) -> tuple[Any, dict[str, Origin], list[Unsupported]]:
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
        importer = named_importer(nodes, origins, unsupported, types, forms)
        return importer.from_onnx(model.graph, opset(model, ""))["main"]

    main, failure = attempt(build)
    known = all(full_name(node) in forms for node, _ in nodes.values())
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
    forms: Forms,
) -> Any:
    """TVM's importer, which also names each node's variable and survives refusals."""
    from tvm import relax
    from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter

    class NamedImporter(ONNXGraphImporter):
        def _check_for_unsupported_ops(self, graph: Any) -> None:
            """Done before, with names: see reader.py."""

        def _convert_operator(self, op_name: str, inputs: Any, attrs: Any, version: int) -> Any:
            label = attrs["tvm_custom"]["name"]
            node, origin = nodes[label]
            try:
                result = self.convert_one(node, inputs, attrs, version)
            except Exception as error:
                unsupported.append(Unsupported(origin, f"the importer says: {first_line(error)}"))
                result = placeholder(node, inputs, types)
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
            form = forms.get(full_name(node))
            if form is None:
                return placeholder(node, inputs, types)
            needed = inputs[: form.needed]
            if any(item is None for item in needed) or (form.needed != 0 and not needed):
                raise ValueError("an input is missing")
            if form.convert is not None:
                known = [None if i is None else self.bb.normalize(i) for i in inputs]
                parts = form.convert(known, attrs)
                if parts is not None:
                    return parts if len(parts) > 1 else parts[0]
            return super()._convert_operator(node.op_type, inputs, attrs, version)

    return NamedImporter({}, "float32")


def placeholder(node: Any, inputs: Any, types: Mapping[str, tuple[Shape, str]]) -> Any:
    """One call that only holds the place of a node without a form."""
    from tvm import relax

    known = [item for item in inputs if item is not None]
    shape, dtype = types[node.output[0]]  # KeyError: nothing behind it can be checked
    out_type = relax.TensorType(shape=shape, dtype=dtype)
    return relax.op.call_dps_packed(full_name(node), relax.Tuple(known), out_type)
