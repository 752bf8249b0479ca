# SPDX-License-Identifier: Apache-2.0
"""Average pooling, int8, NHWC; n = elements of the window that lie inside the map.

    y = clamp((sum +- n/2) / n)                          rounded half away from zero, as TFLite does
    y = clamp(sum / n), halves to an even y - input_zero_point       ``ties_even``, as ONNX does
    y = requant(sum - n * input_zero_point, multiplier[n - 1])            for another quantization

Without ``requant`` input and output share scale and zero point, so the mean of the integers is the
integer of the mean; with it multiplier[n - 1] holds s_x / (n * s_y), and only one rounding is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import Clamped, Inputs
from tinytailor.compiler.ops.geometry import (
    NO_PADDING,
    Padding,
    Pair,
    output_size,
    window_overlap,
    windows,
)
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.constants import Constants, ConstantSpecs, scales
from tinytailor.compiler.ops.traits.keys import (
    HIGH,
    LOW,
    OPTIONAL_REQUANT,
    PAIR,
    ZERO_POINT,
    exactly,
    unless,
)
from tinytailor.compiler.ops.traits.neighbours import Clamp
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, enclosing, full
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    from tinytailor.compiler.kernels.bricks.kernel import TirKernel


@dataclass(frozen=True, slots=True)
class AveragePool2d(Clamped):
    """``low`` and ``high`` without a ``requant``, which has its own."""

    kind: ClassVar[str] = "average_pool2d"

    kernel: Pair = field(metadata=PAIR)
    stride: Pair = field(default=(1, 1), metadata=PAIR)
    padding: Padding = field(default=NO_PADDING, metadata=unless(NO_PADDING, exactly(4), list))
    low: int = field(default=-128, metadata=LOW)
    high: int = field(default=127, metadata=HIGH)
    input_zero_point: int = field(default=0, metadata=ZERO_POINT)
    requant: Requant | None = field(default=None, metadata=OPTIONAL_REQUANT)
    ties_even: bool = field(default=False, metadata=unless(False, bool))

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if max(self.padding[::2]) >= self.kernel[0] or max(self.padding[1::2]) >= self.kernel[1]:
            raise InputError(
                f"{self.kind}: padding {self.padding} of kernel {self.kernel}: windows would lie "
                "outside the map; padding must be smaller than the kernel"
            )
        size = output_size(self.kind, x, self.kernel, self.stride, self.padding, (1, 1))
        return (1, *size, x[3])

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        if self.requant is None:
            return {}
        return {"multiplier": scales((self.kernel[0] * self.kernel[1],))}

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        view = windows(inputs[0], self.kernel, self.stride, self.padding, (1, 1), 0)
        total = view.astype(np.int64).sum(axis=(3, 4))
        inside = np.ones((1, *inputs[0].shape[1:3], 1), np.int8)
        count = windows(inside, self.kernel, self.stride, self.padding, (1, 1), 0).sum(axis=(3, 4))
        if self.requant is not None:
            multiplier = constants["multiplier"][count - 1]
            return self.requant.apply(total - count * self.input_zero_point, multiplier)
        if self.ties_even:
            whole, rest = np.divmod(total + count * self._shift(), count)
            y = whole + (2 * rest + (whole & 1) > count) - self._shift()
            return np.clip(y, self.low, self.high).astype(np.int8)
        magnitude = (np.abs(total) + count // 2) // count
        return np.clip(np.sign(total) * magnitude, self.low, self.high).astype(np.int8)

    def _shift(self) -> int:
        """What makes all integers positive and a multiple of the scale even where it is even."""
        return 128 + self.input_zero_point % 2

    def ranges(self, reads: Ranges, inputs: Inputs, constants: Constants) -> Range:
        if self.requant is None:
            return reads[0].clipped(self.low, self.high)
        counts = np.arange(1, self.kernel[0] * self.kernel[1] + 1)[:, None]
        steps, multiplier = reads[0].plus(-self.input_zero_point), constants["multiplier"][:, None]
        ends = (self.requant.apply(end * counts, multiplier) for end in (steps.low, steps.high))
        return enclosing(*ends)

    def accumulators(self, inputs: Inputs, constants: Constants) -> Range | None:
        if self.requant is None:
            return None
        steps = full(1).plus(-self.input_zero_point).widened(0)
        return steps.times(self.kernel[0] * self.kernel[1] << self.requant.shift)

    def clamp(self) -> Clamp | None:
        if self.requant is None:
            return Clamped.clamp(self)
        return Clamp.of(self.requant)

    def with_clamp(self, clamp: Clamp) -> AveragePool2d:
        if self.requant is None:
            return Clamped.with_clamp(self, clamp)
        return replace(self, requant=clamp.on(self.requant))

    def channels(self, inputs: Inputs, constants: Constants) -> Channels:
        return linked(*inputs, output=inputs[0])

    def bordered(self, padding: Padding) -> str:
        return "would not count the border"

    def lower(
        self, inputs: tuple[Shape, ...], constants: Mapping[str, np.ndarray], isa: str
    ) -> TirKernel:
        """One sum per output element. Outputs never catch up with inputs still to be read."""
        from tvm import te, tirx

        from tinytailor.compiler.kernels.bricks import tir
        from tinytailor.compiler.kernels.bricks.kernel import TirKernel

        _, oh, ow, channels = self.output_shape(*inputs)
        (kh, kw), (sh, sw) = self.kernel, self.stride
        x = te.placeholder(inputs[0], "int8", name="x")
        roles = {
            role: te.placeholder(spec.shape, spec.dtype, name=role)
            for role, spec in self.constants(*inputs).items()
        }
        at = tir.padded(x, self.padding, tir.const(0, "int8"))
        i, j = te.reduce_axis((0, kh), "i"), te.reduce_axis((0, kw), "j")
        acc = te.compute(
            (oh, ow, channels),
            lambda h, v, c: te.sum(tir.int32(at(h * sh + i, v * sw + j, c)), axis=[i, j]),
            name="acc",
        )

        def mean(h: Any, v: Any, c: Any) -> Any:
            count = self._count(inputs[0], h, v)
            half = tirx.truncdiv(count, tir.const(2))
            away = tirx.Select(acc[h, v, c] < 0, acc[h, v, c] - half, acc[h, v, c] + half)
            return tir.clamped(tirx.truncdiv(away, count), self.low, self.high).astype("int8")

        def even(h: Any, v: Any, c: Any) -> Any:
            count, two = self._count(inputs[0], h, v), tir.const(2)
            shift = tir.parameter("offset", self._shift())
            total = acc[h, v, c] + count * shift
            whole, rest = tirx.truncdiv(total, count), tirx.truncmod(total, count)
            up = two * rest + tirx.truncmod(whole, two) > count
            y = whole + tirx.Select(up, tir.const(1), tir.const(0)) - shift
            return tir.clamped(y, self.low, self.high).astype("int8")

        def requantized(h: Any, v: Any, c: Any) -> Any:
            assert self.requant is not None
            count = self._count(inputs[0], h, v)
            zero_point = tir.parameter("input_zero_point", self.input_zero_point)
            total = acc[h, v, c] - count * zero_point
            return tir.requantize(total, roles["multiplier"][count - 1], self.requant)

        rounded = requantized if roles else even if self.ties_even else mean
        y = te.compute((oh, ow, channels), rounded, name="y")
        schedule = tir.schedule_of((x, *roles.values(), y))
        loops = schedule.get_loops(schedule.get_sblock("y"))
        total = schedule.get_sblock("acc")
        schedule.compute_at(total, loops[-1], preserve_unit_loops=True)
        schedule.decompose_reduction(total, schedule.get_loops(total)[-2])
        overlap = {0: window_overlap(inputs[0], (oh, ow), self.stride, self.padding)}
        arguments = ("x0", *roles, "y")
        return TirKernel(schedule.mod["main"], arguments, dict(constants), overlap=overlap)

    def _count(self, shape: Shape, h: Any, v: Any) -> Any:
        """How many elements of the window of output (h, v) lie inside the map."""
        from tvm import tirx

        from tinytailor.compiler.kernels.bricks import tir

        product = tir.const(1)
        for axis, place in enumerate((h, v)):
            before, after = self.padding[axis], self.padding[axis + 2]
            first = place * self.stride[axis] - before
            last = first + self.kernel[axis]
            if before:
                first = tirx.max(first, tir.const(0))
            if after:
                last = tirx.min(last, tir.const(shape[1 + axis]))
            product = product * (last - first)
        return product
