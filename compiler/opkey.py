# SPDX-License-Identifier: Apache-2.0
"""OpKey: everything that decides the code of one operator, and so what a latency table knows it by.

Two operators with equal keys are compiled to the same code up to immediates and constant data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytailor.compiler.ir import Graph, Node, Shape, Tensor, check
from tinytailor.compiler.ops import OPERATORS
from tinytailor.compiler.ops.base import Operator, output_dtype
from tinytailor.compiler.ops.float_op import FloatOp
from tinytailor.compiler.quantization import multipliers
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True, order=True)
class OpKey:
    """``attributes`` is canonical JSON text, so keys hash, compare and sort."""

    kind: str
    input_shapes: tuple[Shape, ...]
    attributes: str
    isa: str

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "input_shapes": [list(shape) for shape in self.input_shapes],
            "attributes": json.loads(self.attributes),
            "isa": self.isa,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> OpKey:
        try:
            shapes = tuple(tuple(int(d) for d in shape) for shape in record["input_shapes"])
            key = cls(record["kind"], shapes, _canonical(record["attributes"]), record["isa"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not an operator key: {record!r} ({error})") from error
        if key.kind not in OPERATORS:
            raise InputError(
                f"operator key of unknown kind {key.kind!r}, known: {', '.join(OPERATORS)}"
            )
        return key

    def operator(self) -> Operator:
        if self.kind == FloatOp.kind:
            return FloatOp.from_key(json.loads(self.attributes))
        return OPERATORS[self.kind].from_key(json.loads(self.attributes))


def _canonical(attributes: Mapping[str, Any]) -> str:
    return json.dumps(attributes, sort_keys=True, separators=(",", ":"))


def make_key(op: Operator, input_shapes: tuple[Shape, ...], isa: str) -> OpKey:
    return OpKey(op.kind, tuple(input_shapes), _canonical(op.key_attributes()), str(isa))


def key_of(node: Node, graph: Graph, isa: str) -> OpKey:
    return make_key(node.op, graph.input_shapes(node), isa)


def example_constants(op: Operator, shapes: tuple[Shape, ...], seed: int) -> dict[str, np.ndarray]:
    """Seeded random constants of the right shapes, of sizes that real layers have.

    Compilers put constants into instructions where they can, and small ones take fewer.
    """
    rng = np.random.default_rng(seed)
    constants: dict[str, np.ndarray] = {}
    for role, (shape, dtype) in op.constant_shapes(*shapes).items():
        if dtype == "int8":
            constants[role] = rng.integers(-127, 128, shape).astype(np.int8)
        elif role.startswith("index"):  # places along that axis of the first input
            places = rng.integers(0, shapes[0][int(role.removeprefix("index"))], shape)
            constants[role] = places.astype(dtype)
        elif dtype == "uint8":
            constants[role] = rng.integers(0, 256, shape).astype(np.uint8)
        elif role == "pixels":  # whole-pixel offsets, most of them inside the map
            constants[role] = rng.integers(-4, 5, shape).astype(np.int16)
        elif "multiplier" in role:
            constants[role] = multipliers(rng.uniform(0.0005, 0.005, shape).astype(np.float32))[0]
        elif "bias" in role:
            constants[role] = rng.integers(-(1 << 16), 1 << 16, shape).astype(np.int32)
        else:
            constants[role] = rng.integers(1, 1 << 12, shape).astype(np.int32)
    return constants


def example_graph(key: OpKey, seed: int = 0) -> Graph:
    """A graph of the one operator ``key`` stands for, with seeded random constants."""
    op = key.operator()
    inputs = tuple(Tensor(f"x{i}", shape) for i, shape in enumerate(key.input_shapes))
    output = Tensor("y", op.output_shape(*key.input_shapes), output_dtype(op))
    node = Node(
        key.kind,
        op,
        tuple(t.name for t in inputs),
        "y",
        example_constants(op, key.input_shapes, seed),
    )
    tensors = {t.name: t for t in (*inputs, output)}
    return check(Graph("example", node.inputs, ("y",), tensors, (node,)))
