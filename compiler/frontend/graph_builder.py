# SPDX-License-Identifier: Apache-2.0
"""The integer graph under construction: what rules read and write while importer.py goes through
the calls of a model.

    call of the model --rule--> value (imported_values.py) --quantize--> Tensor, Node

Nothing here knows an operator. What several rules need of one, as moving a tensor in memory, is
offered by the rule file of that operator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Constant,
    Expression,
    FloatInput,
    Fused,
    Value,
)
from tinytailor.compiler.frontend.names import Names
from tinytailor.compiler.frontend.quantization import (
    Quantization,
    integer_bounds,
    quantization_of,
    same_quantization,
)
from tinytailor.compiler.frontend.relax_calls import ImportedModel, Ref, refs
from tinytailor.compiler.frontend.report import Declined, Origin
from tinytailor.compiler.ir import Node, Tensor
from tinytailor.compiler.ops.base import Operator

MAX_ELEMENTS = 1 << 24  # of one activation: more fits no device, and a damaged file may ask for it


class GraphBuilder:
    """Tensors and nodes so far, and the value of each call.

    ``selecting``: names of the calls whose results are elements of their inputs.
    """

    def __init__(self, model: ImportedModel, selecting: AbstractSet[str]) -> None:
        self.model = model
        self.selecting = selecting
        self.names = Names()
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.values: dict[int, Value] = {}  # by the index of a Ref
        self.entries: list[FloatInput] = []  # all inputs of the model, as they enter
        self.inputs: dict[str, str] = {}  # the model's name -> ours
        self.notes: dict[str, str] = {}  # what of the model a node could not keep
        self.placeholders: set[str] = set()  # stand for what follows a refused operator
        self.unquantized: set[str] = set()  # integers whose scale is not known yet
        self.transposed: dict[tuple[str, bytes], str] = {}  # what rules/transpose.py made already
        self.ranged: set[int] = set()  # calls with a scale of rules/implied_ranges.py
        self.uses = Counter(ref.index for call in model.listing.calls for ref in refs(call))
        self.uses.update(ref.index for ref in model.listing.outputs if isinstance(ref, Ref))

    def argument(self, argument: Any) -> Value:
        if isinstance(argument, Ref):
            return self.values[argument.index]
        if isinstance(argument, np.ndarray):
            return Constant(argument)
        raise Declined(f"an argument {argument!r} is no tensor")

    def constant(self, argument: Any, role: str) -> Constant:
        value = self.argument(argument)
        if not isinstance(value, Constant):
            raise Declined(f"its {role} is computed by the model, expected a constant")
        return value

    def new_name(self, origin: Origin) -> str:
        return self.names.fresh(origin.label, origin.operator.lower())

    def append(
        self,
        op: Operator,
        inputs: tuple[str, ...],
        y: Tensor,
        constants: Mapping[str, np.ndarray] | None = None,
    ) -> Tensor:
        """Add the node that writes ``y`` and is called like it."""
        self.tensors[y.name] = y
        self.nodes.append(Node(y.name, op, inputs, y.name, dict(constants or {})))
        return y

    def emit(self, expression: Expression, fused: Fused, offset: int) -> Activation:
        """Append the node of ``expression``; its output is an activation."""
        try:
            op, inputs, constants = expression.finish(fused)
        except Declined as reason:
            raise Declined(str(reason), expression.origin) from None
        self.append(op, inputs, fused.y, constants)
        return Activation(fused.y.name, expression.shape, expression.order, False, offset)

    def quantized(
        self, value: Expression, quantization: Quantization, offset: int, origin: Origin
    ) -> Activation:
        """The node of ``value`` with the scale, zero point and clamp that follow it."""
        y = Tensor(self.new_name(origin), value.device, "int8", *quantization)
        low, high = integer_bounds(value.low, value.high, *quantization)
        return self.emit(value, Fused(y, low, high, value.bias, value.gain), offset)

    def emit_like(
        self, tensor: Tensor, expression: Expression, offset: int, origin: Origin
    ) -> Activation:
        """The node of an ``expression`` of integers, whose scale is that of ``tensor``."""
        y = replace(tensor, name=self.new_name(origin), shape=expression.device)
        return self.emit(expression, Fused(y, -128, 127, None), offset)

    def graph_input(
        self, value: FloatInput, scale: float, zero_point: int, dtype: str = "int8"
    ) -> str:
        """The tensor of an input; every QuantizeLinear of it must agree."""
        if value.name not in self.inputs:
            name = self.inputs[value.name] = self.names.fresh(value.name, "input")
            self.tensors[name] = Tensor(name, value.device, dtype, scale, zero_point)
        tensor = self.tensors[self.inputs[value.name]]
        if not same_quantization(quantization_of(tensor), (scale, zero_point)):
            raise Declined(f"input {value.name} is quantized twice, with different scales")
        return tensor.name
