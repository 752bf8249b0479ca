# SPDX-License-Identifier: Apache-2.0
"""Elementwise sum of three or more int8 tensors, broadcast as in numpy, each with its own scale.

    y = clamp(zero_point + ((x0 * factors[0] + x1 * factors[1] + ... + bias) >> shift), low, high)

As ``Add``: factors are scale ratios, negative ones subtract, and the sum is rounded once, where two
by two it would be rounded after each. The more there are, the fewer bits has a factor: the largest
sum stays below 2^31.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import frexp
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes, Tensor
from tinytailor.compiler.ops.add import BIAS, SHIFT, RoundedSum
from tinytailor.compiler.ops.broadcast import broadcast_shape
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.examples import Examples
from tinytailor.compiler.ops.traits.keys import HIGH, LOW, ZERO_POINT, in_key
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, full
from tinytailor.targets.errors import InputError

MOST = 16  # inputs


def _bits(count: int) -> int:
    """Of a factor among ``count``: so many numbers of it and a byte are as large as two of 21."""
    return 21 - ((count + 1) // 2 - 1).bit_length()


def _example_factors(_: str, attributes: Mapping[str, Any]) -> tuple[int, ...]:
    count = int(attributes["inputs"])
    largest = 1 << _bits(count)
    return tuple(largest // (index + 1) - 12_345 for index in range(count))


@dataclass(frozen=True, slots=True)
class AddN(RoundedSum):
    kind: ClassVar[str] = "add_n"

    factors: tuple[int, ...] = field(
        metadata=in_key(lambda _, factors: {"inputs": len(factors)}, _example_factors)
    )
    bias: int = field(default=1 << 19, metadata=BIAS)
    shift: int = field(default=20, metadata=SHIFT)
    zero_point: int = field(default=0, metadata=ZERO_POINT)
    low: int = field(default=-128, metadata=LOW)
    high: int = field(default=127, metadata=HIGH)

    @classmethod
    def from_scales(
        cls,
        inputs: Sequence[Tensor],
        signs: Sequence[int],
        y: Tensor,
        low: int = -128,
        high: int = 127,
    ) -> AddN:
        """sum of sign * input into ``y`` by their scales and zero points."""
        ratios = [float(np.float32(x.scale) / np.float32(y.scale)) for x in inputs]
        shift = _bits(len(inputs)) - frexp(max(ratios))[1]
        if not 1 <= shift <= 30:
            names = " + ".join(x.name for x in inputs)
            raise InputError(
                f"add_n {names}: scale ratios {', '.join(f'{r:g}' for r in ratios)} to {y.name} "
                "are out of the range 2^-11 to 2^18; quantize the tensors with closer ranges"
            )
        factors = [
            int(np.rint(sign * ratio * 2.0**shift))
            for sign, ratio in zip(signs, ratios, strict=True)
        ]
        bias = (1 << (shift - 1)) - sum(
            factor * x.zero_point for factor, x in zip(factors, inputs, strict=True)
        )
        return cls(tuple(factors), bias, shift, y.zero_point, low, high)

    def output_shape(self, *inputs: Shape) -> Shape:
        if not len(inputs) == len(self.factors) <= MOST:
            raise InputError(
                f"add_n: {len(inputs)} inputs and {len(self.factors)} factors, expected as many "
                f"of both, up to {MOST}"
            )
        return broadcast_shape(self.kind, *inputs)

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        total: Any = self.bias
        for x, factor in zip(inputs, self.factors, strict=True):
            total = total + x.astype(np.int64) * factor
        value = self.zero_point + (total >> self.shift)
        return np.clip(value, self.low, self.high).astype(np.int8)

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        acc = self._total(reads).plus(self.bias)
        y = Range(acc.low >> self.shift, acc.high >> self.shift).plus(self.zero_point)
        channels = self.output_shape(*inputs)[-1]
        return Range(*y.clipped(self.low, self.high).spread((channels,)))

    def accumulators(self, inputs: Shapes, constants: Constants) -> Range:
        return self._total([full(1) for _ in self.factors]).plus(self.offset)

    def _total(self, reads: Sequence[Range]) -> Range:
        """What the products come to."""
        terms = [x.times(factor) for x, factor in zip(reads, self.factors, strict=True)]
        low, high = (sum(getattr(term, end) for term in terms) for end in ("low", "high"))
        return Range(np.asarray(low), np.asarray(high))

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=self.output_shape(*inputs))

    @classmethod
    def examples(cls) -> Examples:
        def inputs(count: int, **more: bool) -> AddN:
            return cls.from_key({"inputs": count, **more})

        return {
            "add_3": (inputs(3), ((1, 4, 4, 8),) * 3),
            "add_5_wide": (inputs(5, wide=True), ((1, 3, 5, 7),) * 5),
            "add_3_clamped": (inputs(3, clamped=True), ((1, 9),) * 3),
            "add_n_repeated": (inputs(3), ((1, 4, 5, 7), (1, 1, 1, 7), (1, 4, 5, 1))),
        }
