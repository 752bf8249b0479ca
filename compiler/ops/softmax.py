# SPDX-License-Identifier: Apache-2.0
"""Softmax over the last axis of (1, classes), int8 in, int8 out with scale 1/256, zero point -128.

    e[k] = table[max(x) - x[k]],  table[d] = round(exp(-d * scale) * 2^bits)
    y[k] = min(127, (256 * e[k] + sum(e) / 2) / sum(e) - 128)

in unsigned 32-bit integers: ``bits`` is 22, less where many classes would overflow the sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import ConstantShapes
from tinytailor.targets.errors import InputError


def table_bits(classes: int) -> int:
    """Largest exponent up to 22 with classes * 2^bits < 2^31 (so 256 * e + sum / 2 < 2^32)."""
    return min(22, 30 - (classes - 1).bit_length())


def exponentials(scale: float, classes: int) -> np.ndarray:
    """The table: int32 (256,), indexed by the distance from the maximum in input steps."""
    distance = np.arange(256, dtype=np.float64)
    return np.rint(np.exp(-distance * scale) * 2.0 ** table_bits(classes)).astype(np.int32)


@dataclass(frozen=True, slots=True)
class Softmax:
    kind: ClassVar[str] = "softmax"

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) != 2 or x[0] != 1:
            raise InputError(f"softmax: input shape {x}, expected (1, classes)")
        return x

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {"table": ((256,), "int32")}

    def key_attributes(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Softmax:
        return cls()

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        x = inputs[0].astype(np.int64)
        e = constants["table"].astype(np.int64)[x.max(axis=-1, keepdims=True) - x]
        total = e.sum(axis=-1, keepdims=True)
        return np.minimum(127, (256 * e + total // 2) // total - 128).astype(np.int8)
