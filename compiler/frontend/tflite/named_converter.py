# SPDX-License-Identifier: Apache-2.0
"""TVM's converter of TFLite operators, which also names the last variable of each and survives
refusals.

Imports TVM, and so is imported late (reader.py).
"""

from __future__ import annotations

from math import prod
from typing import Any

from tvm import relax
from tvm.relax.frontend.tflite.tflite_frontend import OperatorConverter, get_tensor_name

from tinytailor.compiler.frontend.quiet import first_line
from tinytailor.compiler.frontend.relax_calls import own_call, shape_of
from tinytailor.compiler.frontend.report import Origin, Unsupported
from tinytailor.compiler.frontend.rules import TFLITE
from tinytailor.compiler.frontend.tflite.arguments import tensor_shape
from tinytailor.compiler.frontend.tflite.constants import FOLDED, computed
from tinytailor.compiler.frontend.tflite.model_file import origin_of


class NamedConverter(OperatorConverter):
    """Fills ``origins``, variable to operator, and ``unsupported``, the operators refused."""

    def __init__(
        self, origins: dict[str, Origin], unsupported: list[Unsupported], *of_tvm: Any
    ) -> None:
        super().__init__(*of_tvm)
        self.origins, self.unsupported = origins, unsupported

    def check_unsupported_ops(self) -> None:
        """Done before, with names: see reader.py."""

    def get_tensors(self, tensors_idx_list: Any) -> Any:
        """One scale belongs to no axis: files with a single channel name that channel's. A bias has
        one axis, whatever its file says: converters of 2020 named that of the weights."""
        tensors = super().get_tensors(tensors_idx_list)
        for tensor in tensors:
            if tensor.qnn_params and (
                prod(tensor.qnn_params["scale"].value.numpy().shape) == 1
                or tensor.tensor.ShapeLength() == 1
            ):
                tensor.qnn_params["axis"] = 0
        return tensors

    def convert_op_to_relax(self) -> None:
        for index in range(self.subgraph.OperatorsLength()):
            operator = self.subgraph.Operators(index)
            array = computed(self.model, self.subgraph, operator)
            if array is not None:
                self.model.enter(operator.Outputs(0), array)
                continue
            origin = origin_of(self.model, self.subgraph, operator)
            result = self.converted(operator, origin)
            for number, part in enumerate(result if isinstance(result, list) else [result]):
                variable = self.emitted(part, operator, origin, f"op_{index}")
                self.origins[str(variable.name)] = origin
                tensor = self.subgraph.Tensors(operator.Outputs(number))
                tensor.shape = shape_of(variable)
                self.exp_tab.set_expr(tensor.name, variable)

    def converted(self, operator: Any, origin: Origin) -> Any:
        form = TFLITE.get(origin.operator)
        if form is None:
            if origin.operator in FOLDED:  # the others are listed before
                self.unsupported.append(Unsupported(origin))
            return self.placeholder(operator, origin)
        try:
            if form.convert is not None:
                return form.convert(self, operator)
            return self.convert_map[origin.operator](op=operator)
        except Exception as error:  # TVM's converters raise anything
            return self.refused(operator, origin, error)

    def emitted(self, part: Any, operator: Any, origin: Origin, name: str) -> Any:
        """The variable of a result; what does not fit together is found here."""
        try:
            return self.bb.emit(part, name)
        except Exception as error:  # and so does its inference of types
            return self.bb.emit(self.refused(operator, origin, error), name)

    def refused(self, operator: Any, origin: Origin, error: Exception) -> Any:
        refusal = f"the importer says: {first_line(error)}"
        self.unsupported.append(Unsupported(origin, refusal))
        return self.placeholder(operator, origin)

    def placeholder(self, operator: Any, origin: Origin) -> Any:
        """One call that only holds the place of an operator without a form."""
        tensor = self.subgraph.Tensors(operator.Outputs(0))
        dtype = self.get_tensor_type_str(tensor.Type())
        known = [
            self.exp_tab.get_expr(get_tensor_name(self.subgraph, operator.Inputs(index)))
            for index in range(operator.InputsLength())
            if operator.Inputs(index) >= 0 and self.has_expr(operator.Inputs(index))
        ]
        out_type = relax.TensorType(shape=tensor_shape(tensor), dtype=dtype)
        return own_call(origin.operator, known, out_type)
