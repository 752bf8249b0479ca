# SPDX-License-Identifier: Apache-2.0
"""Linear interpolation along rows, columns or both of a map, int8 to int8 with a scale of its own.

    acc[h, w, c] = sum over i, j in {0, 1} of
                   weight1[h, i] * weight2[w, j] * x[index1[h] + i, index2[w] + j, c]
    y = clamp(zero_point + ((acc + bias) >> shift), low, high)

A place of the result lies between two neighbours along each axis; their weights come to 2^11 (2^14
where there is one axis), times the scale ratio along the first axis. So products are exact, and the
one rounding is half up. Bilinear resizing is along (1, 2), resampling of a series along (1,).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, log2, prod
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes, Tensor
from tinytailor.compiler.ops.base import Shifted
from tinytailor.compiler.ops.take import MAX_SIZE
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, places, shares
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import HIGH, LOW, NUMBERS, ZERO_POINT, neutral, told
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, enclosing, full
from tinytailor.targets.errors import InputError

BITS = {1: (14,), 2: (11, 11)}  # of the weights along each axis: all of a sum stays below 2^31


@dataclass(frozen=True, slots=True)
class ResizeLinear(Shifted):
    """``axes``, 1 and 2 or one of them, get the ``sizes`` of their tables."""

    kind: ClassVar[str] = "resize_linear"
    in_place: ClassVar[bool] = False
    placed_by_constants: ClassVar[bool] = True

    axes: tuple[int, ...] = field(metadata=NUMBERS)
    sizes: tuple[int, ...] = field(metadata=NUMBERS)
    bias: int = field(default=1 << 21, metadata=neutral((1 << 21) + 12_345))
    shift: int = field(default=22, metadata=told(lambda a: sum(BITS[len(a["axes"])])))
    zero_point: int = field(default=0, metadata=ZERO_POINT)
    low: int = field(default=-128, metadata=LOW)
    high: int = field(default=127, metadata=HIGH)

    @classmethod
    def from_scales(
        cls,
        x: Tensor,
        y: Tensor,
        places: Mapping[int, np.ndarray],
        low: int = -128,
        high: int = 127,
    ) -> tuple[ResizeLinear, Constants]:
        """``places``: by axis, where between the elements of ``x`` each one of ``y`` lies, from 0
        to their number less one."""
        ratio = float(np.float32(x.scale) / np.float32(y.scale))
        finer = ceil(log2(ratio))
        bits = BITS[len(places)]
        shift = sum(bits) - finer
        if not 1 <= shift <= 30:
            raise InputError(
                f"resize_linear of {x.name}: scale ratio {ratio:g} to {y.name} is out of the "
                "range 2^-8 to 2^13; quantize the tensors with closer ranges"
            )
        constants: dict[str, np.ndarray] = {}
        wholes = []
        for number, (axis, place) in enumerate(sorted(places.items())):
            whole = 1 << bits[number]
            if number == 0:
                whole = int(np.rint(ratio * 2.0 ** (bits[0] - finer)))
            first = np.clip(np.floor(place), 0, x.shape[axis] - 2)
            second = np.rint((place - first) * whole)
            constants[f"index{axis}"] = first.astype(np.int16)
            constants[f"weight{axis}"] = np.stack([whole - second, second], 1).astype(np.int16)
            wholes.append(whole)
        sizes = tuple(len(place) for _, place in sorted(places.items()))
        bias = (1 << (shift - 1)) - x.zero_point * prod(wholes)
        return cls(tuple(sorted(places)), sizes, bias, shift, y.zero_point, low, high), constants

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) != 4 or self.axes not in ((1,), (2,), (1, 2)):
            raise InputError(
                f"resize_linear: axes {self.axes} of shape {x}, expected 1, 2 or both of a map"
            )
        shape = list(x)
        for axis, size in zip(self.axes, self.sizes, strict=True):
            if not 1 <= size <= MAX_SIZE or not 2 <= x[axis] <= MAX_SIZE:
                raise InputError(
                    f"resize_linear: {size} of {x[axis]} elements, expected up to {MAX_SIZE} of "
                    "2 or more"
                )
            shape[axis] = size
        return tuple(shape)

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        specs = {}
        for axis, size, bits in zip(self.axes, self.sizes, BITS[len(self.axes)], strict=True):
            specs[f"index{axis}"] = places(size, inputs[0][axis] - 1)
            specs[f"weight{axis}"] = shares(size, 1 << bits)
        return specs

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        acc = inputs[0].astype(np.int64)
        for axis in self.axes:
            first, weight = constants[f"index{axis}"], constants[f"weight{axis}"].astype(np.int64)
            along = [1] * acc.ndim
            along[axis] = -1
            before, behind = (
                acc.take(first.astype(np.int64) + i, axis=axis) * weight[:, i].reshape(along)
                for i in (0, 1)
            )
            acc = before + behind
        value = self.zero_point + ((acc + self.bias) >> self.shift)
        return np.clip(value, self.low, self.high).astype(np.int8)

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        ends = self._sums(reads[0], constants).plus(self.bias)
        y = Range(ends.low >> self.shift, ends.high >> self.shift).plus(self.zero_point)
        return y.clipped(self.low, self.high)

    def accumulators(self, inputs: Shapes, constants: Constants) -> Range:
        return self._sums(full(1), constants).plus(self.bias)

    def _sums(self, x: Range, constants: Constants) -> Range:
        """What the products alone come to: the weights of a place come to nearly the same."""
        totals = [constants[f"weight{axis}"].astype(np.int64).sum(axis=1) for axis in self.axes]
        least, most = (prod(int(end(total)) for total in totals) for end in (np.min, np.max))
        return enclosing(x.low * least, x.low * most, x.high * least, x.high * most)

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=inputs[0])

    @classmethod
    def examples(cls) -> Examples:
        def along(*axes: int, sizes: tuple[int, ...], **more: bool) -> ResizeLinear:
            return cls.from_key({"axes": axes, "sizes": sizes, **more})

        return {
            "resize_linear": (along(1, 2, sizes=(8, 5)), one_map(4, 3, 6)),
            "resize_linear_clamped": (along(1, 2, sizes=(3, 9), clamped=True), one_map(5, 6, 17)),
            "resize_linear_rows": (along(1, sizes=(20,)), one_map(10, 1, 5)),
            "resize_linear_columns": (along(2, sizes=(4,)), one_map(3, 9, 1)),
        }
