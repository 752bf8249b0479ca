# SPDX-License-Identifier: Apache-2.0
"""Softmax over the last axis of (1, ..., classes), int8 to int8 with scale 2^fraction / levels.

    e[k] = table[max(x) - x[k]],  table[d] = round(exp(-d * scale) * 2^bits)
    y[k] = min(127, (levels * e[k] + total / 2) / total + zero_point),  total = sum(e) * 2^fraction

in unsigned 32-bit integers: ``bits`` is 22, less where many classes or levels would overflow. The
scale 1/256 of TFLite and 1/255 of quantizers need no fraction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, factors
from tinytailor.compiler.ops.traits.examples import Examples
from tinytailor.compiler.ops.traits.keys import in_key, told
from tinytailor.targets.errors import InputError

FRACTION = 6  # bits of levels that are no whole number
FRACTION_LEVELS = 17_003  # of an operator made from its key


def output_levels(scale: float) -> tuple[int, int]:
    """(levels, fraction) of an output scale from 1/512 to 1."""
    if not 1 / 512 <= scale <= 1:
        raise InputError(f"softmax with output scale {scale:g}, expected 1/512 to 1, as 1/256 is")
    levels = int(np.rint(1 / scale))
    if levels <= 256 and np.float32(1 / levels) == np.float32(scale):
        return levels, 0
    return int(np.rint(2.0**FRACTION / scale)), FRACTION


def table_bits(classes: int, fraction: int = 0) -> int:
    """Largest exponent up to 22 with levels * e + total / 2 < 2^32, where levels <= 2^8, or with a
    fraction 2^15."""
    most = 22 if fraction == 0 else 16
    return min(most, 30 - fraction - (classes - 1).bit_length())


def exponentials(scale: float, classes: int, fraction: int = 0) -> np.ndarray:
    """The table: int32 (256,), indexed by the distance from the maximum in input steps."""
    distance = np.arange(256, dtype=np.float64)
    return np.rint(np.exp(-distance * scale) * 2.0 ** table_bits(classes, fraction)).astype(
        np.int32
    )


@dataclass(frozen=True, slots=True)
class Softmax(Operator):
    kind: ClassVar[str] = "softmax"
    in_place: ClassVar[bool] = False

    levels: int = field(
        default=256, metadata=told(lambda a: FRACTION_LEVELS if a.get("fraction") else 256)
    )
    fraction: int = field(
        default=0,
        metadata=in_key(
            lambda name, fraction: {name: fraction} if fraction else {},
            lambda name, attributes: FRACTION if attributes.get(name) else 0,
        ),
    )
    zero_point: int = -128

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) < 2 or x[0] != 1:
            raise InputError(f"softmax: input shape {x}, expected (1, ..., classes)")
        return x

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        return {"table": factors((256,))}

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        x = inputs[0].astype(np.int64)
        e = constants["table"].astype(np.int64)[x.max(axis=-1, keepdims=True) - x]
        total = e.sum(axis=-1, keepdims=True) << self.fraction
        value = (self.levels * e + total // 2) // total + self.zero_point
        return np.minimum(127, value).astype(np.int8)

    @classmethod
    def examples(cls) -> Examples:
        return {
            "softmax": (cls(), ((1, 12),)),
            "softmax_scaled": (cls.from_key({"fraction": 6}), ((1, 12),)),
            "softmax_many_scaled": (cls.from_key({"fraction": 6}), ((1, 700),)),
            "softmax_many": (cls(), ((1, 700),)),
            "softmax_of_a_map": (cls(), ((1, 3, 4, 5),)),
            "softmax_of_a_series_scaled": (cls.from_key({"fraction": 6}), ((1, 6, 7),)),
        }
