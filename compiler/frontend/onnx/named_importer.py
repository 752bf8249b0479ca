# SPDX-License-Identifier: Apache-2.0
"""TVM's importer of ONNX graphs, which also names the variable of each node and survives refusals.

Imports TVM, and so is imported late (reader.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvm import relax
from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter

from tinytailor.compiler.frontend.onnx.model_file import full_name
from tinytailor.compiler.frontend.quiet import first_line
from tinytailor.compiler.frontend.relax_calls import own_call
from tinytailor.compiler.frontend.report import Origin, Unsupported
from tinytailor.compiler.frontend.rules.rule import Onnx
from tinytailor.compiler.ir import Shape


class NamedImporter(ONNXGraphImporter):
    """Fills ``origins``, variable to operator, and ``unsupported``, the nodes refused.

    ``nodes``: node and origin by the name that TVM sees; ``types``: of tensors, as ONNX infers.
    """

    def __init__(
        self,
        origins: dict[str, Origin],
        unsupported: list[Unsupported],
        nodes: Mapping[str, tuple[Any, Origin]],
        types: Mapping[str, tuple[Shape, str]],
        forms: Mapping[str, Onnx],
    ) -> None:
        super().__init__({}, "float32")
        self.origins, self.unsupported = origins, unsupported
        self.named_nodes, self.types, self.forms = nodes, types, forms

    def _check_for_unsupported_ops(self, graph: Any) -> None:
        """Done before, with names: see reader.py."""

    def _convert_operator(self, op_name: str, inputs: Any, attrs: Any, version: int) -> Any:
        label = attrs["tvm_custom"]["name"]
        node, origin = self.named_nodes[label]
        try:
            result = self.converted(node, inputs, attrs, version)
        except Exception as error:
            refusal = f"the importer says: {first_line(error)}"
            self.unsupported.append(Unsupported(origin, refusal))
            result = self.placeholder(node, inputs)
        if isinstance(result, list | relax.Tuple):
            return relax.Tuple([self.named(part, label, origin) for part in result])
        return self.named(result, label, origin)

    def converted(self, node: Any, inputs: Any, attrs: Any, version: int) -> Any:
        form = self.forms.get(full_name(node))
        if form is None:
            return self.placeholder(node, inputs)
        needed = inputs[: form.needed]
        if any(item is None for item in needed) or (form.needed != 0 and not needed):
            raise ValueError("an input is missing")
        if form.convert is not None:
            known = [None if item is None else self.bb.normalize(item) for item in inputs]
            parts = form.convert(known, attrs)
            if parts is not None:
                return parts if len(parts) > 1 else parts[0]
        return super()._convert_operator(node.op_type, inputs, attrs, version)

    def named(self, result: Any, label: str, origin: Origin) -> Any:
        if type(result).__name__ != "Call":
            if isinstance(result, relax.Var):  # a call that the conversion emitted itself
                self.origins.setdefault(str(result.name), origin)
            return result
        variable = self.bb.emit(result, label)
        self.origins[str(variable.name)] = origin
        return variable

    def placeholder(self, node: Any, inputs: Any) -> Any:
        """One call that only holds the place of a node without a form."""
        known = [item for item in inputs if item is not None]
        shape, dtype = self.types[node.output[0]]  # KeyError: nothing behind it can be checked
        out_type = relax.TensorType(shape=shape, dtype=dtype)
        return own_call(full_name(node), known, out_type)
