# SPDX-License-Identifier: Apache-2.0
"""A TFLite model through TVM's converter, so that every call knows the operator it came from and an
operator that is refused leaves the others alone.
"""

from __future__ import annotations

from math import prod
from typing import Any

from tinytailor.compiler.frontend.report import Origin, Unsupported, attempt, first_line
from tinytailor.compiler.frontend.rules import TFLITE
from tinytailor.compiler.frontend.tflite.arguments import tensor_shape
from tinytailor.compiler.frontend.tflite.model_file import origin_of


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
            """Done before, with names: see reader.py."""

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
            form = TFLITE.get(origin.operator)
            if form is None:
                return self.placeholder(operator, origin)
            try:
                if form.convert is not None:
                    return form.convert(self, operator)
                return self.convert_map[origin.operator](op=operator)
            except Exception as error:
                unsupported.append(Unsupported(origin, f"the importer says: {first_line(error)}"))
                return self.placeholder(operator, origin)

        def placeholder(self, operator: Any, origin: Origin) -> Any:
            """One call that only holds the place of an operator without a form."""
            tensor = self.subgraph.Tensors(operator.Outputs(0))
            dtype = self.get_tensor_type_str(tensor.Type())
            known = [
                self.exp_tab.get_expr(get_tensor_name(self.subgraph, operator.Inputs(index)))
                for index in range(operator.InputsLength())
                if self.has_expr(operator.Inputs(index))
            ]
            out_type = relax.TensorType(shape=tensor_shape(tensor), dtype=dtype)
            return relax.op.call_dps_packed(origin.operator, relax.Tuple(known), out_type)

    return NamedConverter
