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

from tinytailor.compiler.frontend.borders import (
    alone,
    borders,
    input_value,
    output_names,
    output_value,
)
from tinytailor.compiler.frontend.graph_builder import MAX_ELEMENTS, GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Expression,
    Indices,
    Pointwise,
    Unknown,
    Value,
)
from tinytailor.compiler.frontend.relax_calls import Call, ImportedModel
from tinytailor.compiler.frontend.report import Declined, Unsupported, unsupported_error
from tinytailor.compiler.frontend.rules import CALLS, float_calls
from tinytailor.compiler.ir import Graph, Node, check
from tinytailor.compiler.passes.base import renamed
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
                values[-1 - index] = input_value(self.builder, parameter, -1 - index)
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
        outputs = [self.output(item) for item in listing.outputs]
        if self.unsupported:
            raise unsupported_error(self.unsupported)
        return finished(self.builder, [value for value in outputs if value is not None])

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

    def output(self, item: Any) -> Activation | Indices | None:
        """An output as it leaves; None where something on the way to it is in the report."""
        try:
            return output_value(self.builder, item)
        except Declined as reason:
            origin = self.model.listing.calls[item.index].origin
            self.unsupported.append(Unsupported(origin, str(reason)))
            return None


def finished(builder: GraphBuilder, leaving: Sequence[Activation | Indices]) -> Graph:
    """The graph of all that the outputs depend on."""
    for name in builder.unquantized:
        what = "input" if name in builder.inputs.values() else "the result of"
        raise InputError(f"{what} {name} is an integer tensor without DequantizeLinear")
    model = builder.model
    outputs: list[str] = []
    for value in leaving:
        outputs.append(alone(builder, value, outputs))
    nodes = live(builder.nodes, outputs)
    used = {name for node in nodes for name in node.inputs} | set(outputs)
    inputs = []
    for parameter in model.listing.inputs:
        entry = builder.inputs.get(parameter.name)
        if entry is None or entry not in used:
            raise InputError(f"input {parameter.name} does not reach an output; remove it")
        inputs.append(entry)
    made_from = Counter(call.operator.removeprefix("relax.") for call in model.listing.calls)
    notes = {node.name: builder.notes[node.name] for node in nodes if node.name in builder.notes}
    names = output_names(builder, outputs)
    tensors = {
        names.get(name, name): replace(tensor, name=names.get(name, name))
        for name, tensor in builder.tensors.items()
        if name in used
    }
    left = [names.get(name, name) for name in outputs]
    return check(
        Graph(
            model.name,
            tuple(inputs),
            tuple(left),
            tensors,
            tuple(renamed(node, names) for node in nodes),
            made_from,
            notes,
            dict(zip([*inputs, *left], borders(builder, leaving), strict=True)),
            model.training,
        )
    )


def live(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """The nodes that an output depends on, in order."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]
