# SPDX-License-Identifier: Apache-2.0
"""Logarithm of softmax over the last axis of (1, ..., classes), int8 to int8.

    d = max(x) - x,   total = sum(exponentials[d]),   exponentials[d] = round(exp(-d scale) 2^bits)
    total = 2^e (1 + (i + f / 2^12) / 32),  e and i whole, 0 <= f < 2^12
    log = (e - bits) octave + logarithms[i] + ((logarithms[i + 1] - logarithms[i]) f >> 12)
    y = max(-128, zero_point + ((2^15 - d factor - log) >> 16))

``factor``, ``octave`` = ln 2 and ``logarithms[i]`` = ln(1 + i / 32) are steps of the output times
2^16. Between entries the logarithm is off by 2e-3 steps of 1/16 at most.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Tensor
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.softmax import exponentials, table_bits
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, factors
from tinytailor.compiler.ops.traits.examples import Examples
from tinytailor.compiler.ops.traits.keys import neutral
from tinytailor.targets.errors import InputError

PART_BITS, FRACTION_BITS = 5, 12
PARTS = 1 << PART_BITS  # of an octave
UNIT = 1 << 16


def output_range(scale: float, classes: int) -> tuple[float, int] | None:
    """The finest scale and the zero point that hold all results for inputs of ``scale``."""
    finest = float(np.float32((255 * scale + log(classes)) / 255))
    return (finest, 127) if 1 / 256 <= finest <= 1 else None


@dataclass(frozen=True, slots=True)
class LogSoftmax(Operator):
    kind: ClassVar[str] = "log_softmax"

    factor: int = field(default=UNIT, metadata=neutral(54_321))
    octave: int = field(default=11 * UNIT, metadata=neutral(726_817))
    zero_point: int = field(default=127, metadata=neutral(127))

    @classmethod
    def from_scales(cls, x: Tensor, y: Tensor, classes: int) -> tuple[LogSoftmax, Constants]:
        ratio = float(np.float32(x.scale) / np.float32(y.scale))
        if not 1 / 256 <= y.scale <= 1 or ratio >= 64:
            raise InputError(
                f"log_softmax of {x.name} with scale {x.scale:g} into {y.name} with scale "
                f"{y.scale:g}, expected 1/256 to 1, as 1/16 is, and at least 1/64 of the input's"
            )
        steps = UNIT / float(np.float32(y.scale))
        logarithms = np.rint(np.log1p(np.arange(PARTS + 1) / PARTS) * steps).astype(np.int32)
        op = cls(int(np.rint(ratio * UNIT)), int(np.rint(log(2) * steps)), y.zero_point)
        return op, {"exponentials": exponentials(x.scale, classes), "logarithms": logarithms}

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) < 2 or x[0] != 1:
            raise InputError(f"log_softmax: input shape {x}, expected (1, ..., classes)")
        return x

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        return {"exponentials": factors((256,)), "logarithms": factors((PARTS + 1,))}

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        x = inputs[0].astype(np.int64)
        table, logarithms = (
            constants[role].astype(np.int64) for role in ("exponentials", "logarithms")
        )
        d = x.max(axis=-1, keepdims=True) - x
        total = table[d].sum(axis=-1, keepdims=True)
        e = np.frexp(total.astype(np.float64))[1] - 1
        mantissa = (total << (31 - e)) - (1 << 31)
        part, f = mantissa >> 26, mantissa >> (26 - FRACTION_BITS) & ((1 << FRACTION_BITS) - 1)
        between = (logarithms[part + 1] - logarithms[part]) * f >> FRACTION_BITS
        octaves = (e - table_bits(x.shape[-1])) * self.octave
        value = (UNIT // 2 - d * self.factor - octaves - logarithms[part] - between) >> 16
        return np.clip(self.zero_point + value, -128, 127).astype(np.int8)

    @classmethod
    def examples(cls) -> Examples:
        return {
            "log_softmax": (cls.from_key({}), ((1, 12),)),
            "log_softmax_many": (cls.from_key({}), ((1, 700),)),
            "log_softmax_of_a_map": (cls.from_key({}), ((1, 3, 4, 5),)),
        }
