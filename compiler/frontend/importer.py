# SPDX-License-Identifier: Apache-2.0
"""One pass over the calls of an imported model, building the integer graph.

Each call is looked up in the table of rules (rules/__init__.py) and becomes a value
(imported_values.py). A rule that raises ``Declined`` is noted with its operator, and the pass goes
on behind it, so that one error can list everything that stands in the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import MAX_ELEMENTS, GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Expression,
    FloatInput,
    Indices,
    Pointwise,
    Unknown,
    Value,
)
from tinytailor.compiler.frontend.layout import map_order, map_shape, row_major
from tinytailor.compiler.frontend.relax_calls import (
    BORDERS,
    Call,
    ImportedModel,
    Input,
    Ref,
    refs,
)
from tinytailor.compiler.frontend.report import Declined, Unsupported, unsupported_error
from tinytailor.compiler.frontend.rules import CALLS, float_calls
from tinytailor.compiler.frontend.rules.implied_ranges import settled
from tinytailor.compiler.frontend.rules.operands import UNQUANTIZED
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.transpose import arranged, as_map
from tinytailor.compiler.ir import Graph, Node, check
from tinytailor.targets.errors import InputError


class Importer:
    """Goes through the calls of ``model``; ``allow_float``: float operators may be part of it."""

    def __init__(self, model: ImportedModel, allow_float: bool = False) -> None:
        self.model = model
        self.allow_float = allow_float
        self.builder = GraphBuilder(model, {name for name, rule in CALLS.items() if rule.selects})
        self.unsupported = list(model.unsupported)

    def run(self) -> Graph:
        values, listing = self.builder.values, self.model.listing
        for index, parameter in enumerate(listing.inputs):
            try:
                values[-1 - index] = self.start(parameter, -1 - index)
            except Declined as reason:  # two inputs of one name
                raise InputError(f"model {self.model.name}: {reason}") from None
        for index, call in enumerate(listing.calls):
            try:
                values[index] = self.value_of(index, call)
            except Declined as reason:
                if str(reason):
                    origin = reason.origin or call.origin
                    self.unsupported.append(Unsupported(origin, str(reason)))
                values[index] = Unknown(call.shape)
        outputs = [self.placed_output(item) for item in listing.outputs]
        if self.unsupported:
            raise unsupported_error(self.unsupported)
        return finished(self.builder, [name for name in outputs if name is not None])

    def value_of(self, index: int, call: Call) -> Value:
        """The value of a call, a float one only if nothing else fits and they are allowed."""
        builder = self.builder
        if float_calls.is_float(builder, call):
            value: Value | None = float_calls.deferred(builder, index, call)
            if value is None:
                raise Declined("it follows an operator in float, but does not compute in float")
            return value
        try:
            rule = CALLS.get(call.operator)
            if rule is None:
                raise Declined(self.reason(call))
            size = prod(call.shape)
            if not 1 <= size <= MAX_ELEMENTS:
                problem = "fits no device" if size else "is empty"
                raise Declined(f"its result of shape {call.shape} {problem}")
            value = rule.value(call, builder)
        except Declined:
            value = float_calls.deferred(builder, index, call) if self.allow_float else None
            if value is None:
                raise
        if isinstance(value, Expression | Pointwise) and value.origin is None:
            value = replace(value, origin=call.origin)
        return value

    def reason(self, call: Call) -> str:
        """Why a call without a rule cannot be imported; "" if that is already in the report."""
        if call.operator in {item.origin.operator for item in self.unsupported}:
            return ""
        name = call.operator.removeprefix("relax.")
        same = name.lower() == call.origin.operator.lower()
        return "" if same else f"it becomes {name}, which no operator computes"

    def start(self, parameter: Input, index: int) -> Value:
        """An input of the model; maps of channels-first models lie channels-last on the device."""
        shape, dtype = parameter.shape, parameter.dtype
        if prod(shape) > MAX_ELEMENTS or prod(shape) < 1:
            raise InputError(f"input {parameter.name} has shape {shape}, which fits no device")
        order, device = row_major(shape), shape
        layout = {3: "NCW", 4: "NCHW"}.get(len(shape), "")
        if self.model.channels_first and layout and not in_model_order(self.model, index):
            order, device = map_order(shape, layout), map_shape(shape, layout)
        value = FloatInput(parameter.name, shape, order, device)
        if dtype == "float32":
            return value
        if dtype not in ("int8", "uint8"):
            raise InputError(f"input {parameter.name} is {dtype}; expected float32, int8 or uint8")
        offset = 128 if dtype == "uint8" else 0
        known = self.model.input_quantization
        scale, zero_point = known.get(parameter.name, (1.0, offset))
        tensor = self.builder.graph_input(value, scale, zero_point - offset)
        if parameter.name not in known:
            self.builder.unquantized.add(tensor)
        return Activation(tensor, shape, order, False, offset)

    def placed_output(self, item: Any) -> str | None:
        """The tensor of an output; None where something on the way to it is in the report."""
        try:
            return self.output(item)
        except Declined as reason:
            origin = self.model.listing.calls[item.index].origin
            self.unsupported.append(Unsupported(origin, str(reason)))
            return None

    def output(self, item: Any) -> str | None:
        """Maps lie channels-last, all other outputs in the order of the model."""
        builder = self.builder
        value = settled(builder, item) if not isinstance(item, tuple) else None
        if isinstance(value, Unknown):
            return None
        if isinstance(value, Indices):
            if not np.array_equal(value.order, row_major(value.shape)):
                raise Declined("its indices would have to be transposed, which has no operator")
            shape = value.shape if value.shape[:1] == (1,) else (1, *value.shape)
            return as_shape(builder, value, shape).name
        if not isinstance(value, Activation):
            raise self.float_output(item)
        shape, channels_first = value.shape, self.model.channels_first and len(value.shape) == 4
        if channels_first and not np.array_equal(value.order, row_major(shape)):
            return as_map(builder, value, "NCHW").name
        placed = arranged(builder, value, row_major(shape))
        return as_shape(builder, placed, shape if shape[:1] == (1,) else (1, *shape)).name

    def float_output(self, item: Any) -> InputError:
        if isinstance(item, Ref) and item.index >= 0:
            origin = self.model.listing.calls[item.index].origin
            hint = f"its result is not quantized: {UNQUANTIZED} after it"
            return unsupported_error([*self.unsupported, Unsupported(origin, hint)])
        return InputError(f"model {self.model.name}: an output is not computed from its inputs")


def in_model_order(model: ImportedModel, index: int) -> bool:
    """Whether all that reads a value takes it as the model has it: reshapes, transposes, rows."""
    users = [
        (place, call) for place, call in enumerate(model.listing.calls) if Ref(index) in refs(call)
    ]
    return bool(users) and all(
        in_model_order(model, place) if call.operator in BORDERS else takes_rows(call, index)
        for place, call in users
    )


def takes_rows(call: Call, index: int) -> bool:
    rule = CALLS.get(call.operator)
    return rule is not None and rule.in_model_order and call.arguments[0] == Ref(index)


def finished(builder: GraphBuilder, outputs: Sequence[str]) -> Graph:
    """The graph of all that the outputs depend on."""
    for name in builder.unquantized:
        raise InputError(f"input {name} is an integer tensor without DequantizeLinear")
    model = builder.model
    if len(set(outputs)) < len(outputs):
        twice = next(name for name in outputs if outputs.count(name) > 1)
        raise InputError(f"model {model.name}: two outputs are the same tensor {twice}; remove one")
    nodes = live(builder.nodes, outputs)
    used = {name for node in nodes for name in node.inputs} | set(outputs)
    inputs = []
    for parameter in model.listing.inputs:
        entry = builder.inputs.get(parameter.name)
        if entry is None or entry not in used:
            raise InputError(f"input {parameter.name} does not reach an output; remove it")
        inputs.append(entry)
    tensors = {name: tensor for name, tensor in builder.tensors.items() if name in used}
    made_from = Counter(call.operator.removeprefix("relax.") for call in model.listing.calls)
    borders = tuple(inputs), tuple(outputs)
    notes = {node.name: builder.notes[node.name] for node in nodes if node.name in builder.notes}
    return check(Graph(model.name, *borders, tensors, tuple(nodes), made_from, notes))


def live(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """The nodes that an output depends on, in order."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]
