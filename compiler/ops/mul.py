# SPDX-License-Identifier: Apache-2.0
"""Elementwise product of two int8 tensors, broadcast as in numpy, each with its own scale.

    y = requant((a - z_a) * (b - z_b), multiplier),   multiplier from s_a * s_b / s_y

A channel attention multiplies by (1, 1, 1, channels), a spatial one by (1, h, w, 1). The product of
two differences has at most 16 bits and a sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape, Tensor
from tinytailor.compiler.ops.base import Inputs, Requantized
from tinytailor.compiler.ops.broadcast import at, broadcast_shape, merged
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.constants import Constants
from tinytailor.compiler.ops.traits.keys import REQUANT, ZERO_POINT, neutral
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, corners, enclosing, full
from tinytailor.compiler.requantization import Requant, effective_scale, multipliers
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    from tinytailor.compiler.kernels.bricks.kernel import TirKernel

MAX_SHIFT = 15  # 255 * 255 shifted further leaves 32 bits


@dataclass(frozen=True, slots=True)
class Mul(Requantized):
    kind: ClassVar[str] = "mul"

    left_zero_point: int = field(default=0, metadata=ZERO_POINT)
    right_zero_point: int = field(default=0, metadata=neutral(7))
    multiplier: int = field(default=1 << 24, metadata=neutral(12_345_678))
    requant: Requant = field(default=Requant(), metadata=REQUANT)

    @classmethod
    def from_scales(cls, a: Tensor, b: Tensor, y: Tensor, low: int = -128, high: int = 127) -> Mul:
        """a * b into ``y`` by their scales and zero points."""
        scale = effective_scale(a.scale, b.scale, y.scale)
        if not np.all(scale < 2.0 ** (MAX_SHIFT - 1)):  # also where it is not a number
            raise InputError(
                f"mul {a.name} * {b.name}: scale {a.scale:g} times {b.scale:g} is too large for "
                f"output scale {y.scale:g}; quantize the tensors with closer ranges"
            )
        (multiplier,), shift = multipliers(scale)
        requant = Requant(y.zero_point, shift, low, high)
        return cls(a.zero_point, b.zero_point, int(multiplier), requant)

    def output_shape(self, *inputs: Shape) -> Shape:
        return broadcast_shape(self.kind, *inputs)

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        a, b = (x.astype(np.int64) for x in inputs)
        product = (a - self.left_zero_point) * (b - self.right_zero_point)
        return self.requant.apply(product, np.array(self.multiplier))

    def ranges(self, reads: Ranges, inputs: Inputs, constants: Constants) -> Range:
        return corners(self, reads, inputs, constants)

    def accumulators(self, inputs: Inputs, constants: Constants) -> Range:
        left, right = full(1).plus(-self.left_zero_point), full(1).plus(-self.right_zero_point)
        ends = enclosing(*(a * b for a in (left.low, left.high) for b in (right.low, right.high)))
        return ends.times(1 << self.requant.shift)

    def channels(self, inputs: Inputs, constants: Constants) -> Channels:
        return linked(*inputs, output=self.output_shape(*inputs))

    def lower(
        self, inputs: tuple[Shape, ...], constants: Mapping[str, np.ndarray], isa: str
    ) -> TirKernel:
        """One loop over the elements; each is read before it is written, over it if need be."""
        from tvm import te

        from tinytailor.compiler.kernels.bricks import tir
        from tinytailor.compiler.kernels.bricks.kernel import TirKernel

        shapes = merged(*inputs)
        a, b = (te.placeholder(s, "int8", name=n) for s, n in zip(shapes, "ab", strict=True))

        def product(*place: Any) -> Any:
            left = tir.int32(at(a, place)) - tir.parameter("left_zero_point", self.left_zero_point)
            right = tir.int32(at(b, place)) - tir.parameter(
                "right_zero_point", self.right_zero_point
            )
            multiplier = tir.parameter("multiplier", self.multiplier)
            return tir.requantize(left * right, multiplier, self.requant)

        y = te.compute(broadcast_shape(self.kind, *shapes), product, name="y")
        schedule = tir.schedule_of((a, b, y))
        whole = self.output_shape(*inputs)
        overlap = {index: 0 for index, shape in enumerate(inputs) if shape == whole}
        return TirKernel(schedule.mod["main"], ("x0", "x1", "y"), {}, overlap=overlap)
