# SPDX-License-Identifier: Apache-2.0
"""OpKey: everything that decides the code of one operator, and so what a latency table knows it by.

    operator kind, shapes of the inputs, attributes that change the code (bits of weights among
    them), instruction set, types of the inputs and of the output

Two operators with equal keys are compiled to the same code; they differ in constants only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np

from tinytailor.compiler.ir import Graph, Node, Shape, Tensor, check
from tinytailor.compiler.ops import OPERATORS, Operator, tabled
from tinytailor.targets.errors import InputError
from tinytailor.targets.names import no_such


@dataclass(frozen=True, slots=True, order=True)
class OpKey:
    """``attributes`` is canonical JSON text, so keys hash, compare and sort.

    ``dtypes``: of the inputs, then of the output. Bits of weights are an attribute. Make keys with
    `make_key`, `key_of` or `from_json`, which see to the canonical form.
    """

    kind: str
    input_shapes: tuple[Shape, ...]
    attributes: str
    isa: str
    dtypes: tuple[str, ...]

    @property
    def text(self) -> str:
        """The canonical JSON text: one key has one text, and no two keys share one."""
        rest = {
            "dtypes": self.dtypes,
            "input_shapes": self.input_shapes,
            "isa": self.isa,
            "kind": self.kind,
        }
        return f'{{"attributes":{self.attributes},{_dumps(rest)[1:]}'

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "input_shapes": [list(shape) for shape in self.input_shapes],
            "attributes": json.loads(self.attributes),
            "isa": self.isa,
            "dtypes": list(self.dtypes),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> OpKey:
        try:
            key = cls(
                kind=_text(record["kind"]),
                input_shapes=tuple(tuple(map(_size, shape)) for shape in record["input_shapes"]),
                attributes=_canonical(_names(record["attributes"])),
                isa=_text(record["isa"]),
                dtypes=tuple(map(_text, record["dtypes"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not an operator key: {record!r} ({error})") from error
        known = tabled()
        if key.kind not in known:
            problem = f"no operator is called {key.kind!r}"
            raise no_such(problem, key.kind, tuple(known), listed_by="`tinytailor ops`")
        unknown = sorted(record.keys() - {field.name for field in fields(cls)})
        if unknown or len(key.dtypes) != len(key.input_shapes) + 1:
            raise InputError(
                f"not an operator key: {record!r} (unknown fields {unknown}, or not one of dtypes "
                "for each input and for the output)"
            )
        return key

    def operator(self) -> Operator:
        try:
            return OPERATORS[self.kind].from_key(json.loads(self.attributes))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"key of {self.kind} with attributes {self.attributes}, which do not fit: "
                f"{type(error).__name__} {error}"
            ) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _names(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not an object")
    return value


def _size(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"{value!r} is not a size")
    return value


def _canonical(values: Mapping[str, Any]) -> str:
    """One text for equal values: names sorted, no blanks; a name that is no text is refused."""
    _require_text_names(values)
    return _dumps(values)


def _dumps(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _require_text_names(values: Any) -> None:
    """JSON would write the names 1 and "1" as the same text."""
    if isinstance(values, dict):
        for name, value in values.items():
            _text(name)
            _require_text_names(value)
    elif isinstance(values, list | tuple):
        for value in values:
            _require_text_names(value)


def make_key(op: Operator, input_shapes: tuple[Shape, ...], isa: str) -> OpKey:
    """The key of ``op`` between int8 inputs of these shapes and what it makes of them."""
    types = op.dtypes(*("int8" for _ in input_shapes))
    return _key(op, tuple(input_shapes), str(isa), types)


def key_of(node: Node, graph: Graph, isa: str) -> OpKey:
    types = tuple(graph.tensors[name].dtype for name in (*node.inputs, node.output))
    return _key(node.op, graph.input_shapes(node), str(isa), types)


@lru_cache(maxsize=65536)
def _key(op: Operator, shapes: tuple[Shape, ...], isa: str, dtypes: tuple[str, ...]) -> OpKey:
    """A search asks for the keys of few operators, very often."""
    return OpKey(op.kind, shapes, _canonical(op.key_attributes()), isa, dtypes)


def example_constants(op: Operator, shapes: tuple[Shape, ...], seed: int) -> dict[str, np.ndarray]:
    """Seeded random constants of the right shapes, of sizes that real layers have."""
    rng = np.random.default_rng(seed)
    return {role: spec.draw(rng) for role, spec in op.constants(*shapes).items()}


def example_graph(key: OpKey, seed: int = 0) -> Graph:
    """A graph of the one operator ``key`` stands for, with seeded random constants."""
    op = key.operator()
    *read, written = key.dtypes
    inputs = tuple(
        Tensor(f"x{i}", shape, dtype)
        for i, (shape, dtype) in enumerate(zip(key.input_shapes, read, strict=True))
    )
    output = Tensor("y", op.output_shape(*key.input_shapes), written)
    node = Node(
        key.kind,
        op,
        tuple(t.name for t in inputs),
        "y",
        example_constants(op, key.input_shapes, seed),
    )
    tensors = {t.name: t for t in (*inputs, output)}
    return check(Graph("example", node.inputs, ("y",), tensors, (node,)))
