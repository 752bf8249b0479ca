# SPDX-License-Identifier: Apache-2.0
"""Weights of 4, 2 and 1 bit, several to a byte of flash.

    byte = sum_n u[n] * 2^(bits * n),   u = w + 2^(bits - 1)       4 bits: -8..7, 2 bits: -2..1
                                        u = (w + 1) / 2            1 bit: -1 and 1

The first weight lies in the lowest bits; each output channel (each tap of a depthwise layer) begins
with a byte of its own. A kernel takes its weights apart as it reads them, which saves flash and
costs time, so nothing is packed that a model does not hold in so few bits, unless ``narrowed`` is
called.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from tinytailor.compiler.ir import Graph, Node, Shape, check
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    from tinytailor.compiler.ops.base import Operator

WIDTHS = (1, 2, 4, 8)


def low(bits: int) -> int:
    """The smallest weight of this width."""
    return -1 if bits == 1 else -(1 << (bits - 1))


def fits(values: np.ndarray, bits: int) -> bool:
    if bits == 1:
        return bool(np.all(np.abs(values.astype(np.int64)) == 1))
    return bool(np.all((values >= low(bits)) & (values <= -low(bits) - 1)))


def pack(values: np.ndarray, bits: int) -> np.ndarray:
    """int8 (..., n) to uint8 (..., bytes)."""
    if bits not in WIDTHS or not fits(values, bits):
        raise InputError(f"weights from {values.min()} to {values.max()} do not fit {bits} bits")
    steps = (values.astype(np.int64) - low(bits)) // (2 if bits == 1 else 1)
    places = 8 // bits
    short = -values.shape[-1] % places
    filled = np.pad(steps, (*((0, 0),) * (values.ndim - 1), (0, short)))
    groups = filled.reshape(*values.shape[:-1], -1, places)
    return (groups << (bits * np.arange(places))).sum(axis=-1).astype(np.uint8)


def unpack(packed: np.ndarray, count: int, bits: int) -> np.ndarray:
    """uint8 (..., bytes) to int8 (..., count)."""
    places = 8 // bits
    steps = packed[..., None].astype(np.int64) >> (bits * np.arange(places)) & ((1 << bits) - 1)
    values = steps * (2 if bits == 1 else 1) + low(bits)
    return values.reshape(*packed.shape[:-1], -1)[..., :count].astype(np.int8)


def stored(shape: Shape, bits: int, axis: int) -> tuple[Shape, str]:
    """Shape and dtype in flash of weights whose axes from ``axis`` on are packed together."""
    if bits == 8:
        return shape, "int8"
    if bits not in WIDTHS:
        raise InputError(f"weights of {bits} bits, expected one of {WIDTHS}")
    return (*shape[:axis], -(-prod(shape[axis:]) * bits // 8)), "uint8"


def loaded(weight: np.ndarray, shape: Shape, bits: int, axis: int) -> np.ndarray:
    """The int8 weights of ``shape`` that are stored as ``weight``."""
    if bits == 8:
        return weight
    return unpack(weight, prod(shape[axis:]), bits).reshape(shape)


def narrowed(graph: Graph) -> Graph:
    """Every layer that can hold its weights in fewer bits than 8 does so."""
    return check(replace(graph, nodes=tuple(_narrowed(graph, node) for node in graph.nodes)))


def _narrowed(graph: Graph, node: Node) -> Node:
    weight = node.constants.get("weight")
    if weight is None or weight.dtype != np.int8:  # packed already
        return node
    bits = next(bits for bits in WIDTHS if fits(weight, bits))
    narrow = None if bits == 8 else packed(node.op, weight, bits, *graph.input_shapes(node))
    if narrow is None:
        return node
    op, weight = narrow
    return replace(node, op=op, constants={**node.constants, "weight": weight})


def packed(
    op: Operator, weight: np.ndarray, bits: int, *inputs: Shape
) -> tuple[Operator, np.ndarray] | None:
    """``op`` with its int8 ``weight`` in fewer bits, which hold it; None where it has no such form.

    ``inputs``: the shapes of its inputs.
    """
    narrow = op.with_weight_bits(bits)
    if narrow is None:
        return None
    rows = weight.reshape(*narrow.constants(*inputs)["weight"].shape[:-1], -1)
    return narrow, pack(rows, bits)
