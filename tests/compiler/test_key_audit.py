# SPDX-License-Identifier: Apache-2.0
"""What of an operator reaches its code is in its key: a latency table rests on it.

Every field of every operator is changed by itself. Either the key changes, or the emitted C is the
same text: what the field holds lies beside the constants.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest

from tinytailor.compiler.kernels.lowering import lower_node
from tinytailor.compiler.opkey import key_of, make_key
from tinytailor.compiler.ops import Add, tabled
from tinytailor.compiler.requantization import Requant
from tinytailor.compiler.testing.examples import Example, every_example

pytestmark = [pytest.mark.tvm, pytest.mark.slow]

EXAMPLES = every_example()


def chosen() -> list[Example]:
    """The smallest example of each operator, and of each way its key can be made."""
    smallest: dict[tuple[Any, ...], Example] = {}
    for example in sorted(EXAMPLES, key=lambda one: sum(sum(shape) for shape in one.shapes)):
        attributes = example.op.key_attributes()
        switches = [value for value in attributes.values() if isinstance(value, bool)]
        kind = (example.op.kind, *attributes, *switches, any(attributes.get("padding", ())))
        smallest.setdefault(kind, example)
    return list(smallest.values())


def others(name: str, value: Any) -> Iterator[Any]:
    """Values that quantization could have given instead, zeros and other signs among them."""
    if isinstance(value, Requant | Add):
        for field in fields(value):
            for other in others(field.name, getattr(value, field.name)):
                yield replace(value, **{field.name: other})
    elif name in ("low", "high"):
        yield -7 if name == "low" else 33
    elif "zero_point" in name or name == "value":
        yield from (0, 17)
    elif name == "shift" or name == "offset_shift":
        yield from (value + 1, max(value - 1, 0))
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, 2 * value, -value)


def code(example: Example, op: Any, isa: str) -> str:
    """The C of a layer: its own text and that of the helpers it calls."""
    graph = example.graph(isa)
    kernel = lower_node(graph, replace(graph.nodes[0], op=op), isa, "kernel")
    text = [*kernel.body, *(text for _, text in kernel.helpers), *kernel.parameters]
    return "\n".join(text)


def changed(example: Example) -> Iterator[tuple[str, Any]]:
    """Each operator that differs in one field from that of the example's key."""
    op = example.graph("dsp").nodes[0].op
    for field in fields(op):
        for other in others(field.name, getattr(op, field.name)):
            yield field.name, replace(op, **{field.name: other})


CASES = [
    pytest.param(example, isa, id=f"{example.name}-{isa}")
    for example in chosen()
    for isa in (("dsp", "mve") if "conv2d" in example.op.kind else ("dsp",))
]


@pytest.mark.parametrize(("example", "isa"), CASES)
def test_a_field_that_is_not_in_the_key_leaves_the_code(example, isa):
    graph = example.graph(isa)
    key = key_of(graph.nodes[0], graph, isa)
    expected = code(example, graph.nodes[0].op, isa)
    for name, op in changed(example):
        if make_key(op, example.shapes, isa) == key:
            assert code(example, op, isa) == expected, f"{name} reaches the code, not the key"


def test_every_operator_is_looked_at():
    assert {example.op.kind for example in chosen()} == set(tabled())


def test_a_clamp_that_a_key_forgot_would_be_seen():
    example = next(example for example in chosen() if example.op.kind == "max_pool2d")
    assert code(example, replace(example.op, high=33), "dsp") != code(example, example.op, "dsp")
