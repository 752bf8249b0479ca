# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution with multiplier 1, int8, NHWC.

    acc[h,w,c] = bias[c] + sum_{i,j} x[h*s + i*d - p, w*s + j*d - p, c] * weight[i,j,c]
    y[h,w,c]   = requant(acc[h,w,c], multiplier[c])

The bias already holds -zp_x * sum(weight[:,:,c]) and the border reads zp_x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinytailor.compiler import narrow_weights
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import Inputs, Requantized
from tinytailor.compiler.ops.geometry import (
    Padding,
    Pair,
    first_reads,
    output_size,
    overlap_distance,
    widened,
    windows,
)
from tinytailor.compiler.ops.traits.channels import Channels, Fewer, linked, of_channels
from tinytailor.compiler.ops.traits.constants import Constants, ConstantSpecs, layer, weights
from tinytailor.compiler.ops.traits.keys import NUMBER, PADDING, PAIR, REQUANT, ZERO_POINT
from tinytailor.compiler.ops.traits.neighbours import Bordered
from tinytailor.compiler.ops.traits.ranges import (
    Range,
    Ranges,
    accumulated,
    by_channel,
    full,
    requantized,
    sums,
)
from tinytailor.compiler.requantization import Requant

if TYPE_CHECKING:
    from tinytailor.compiler.kernels.bricks.kernel import TirKernel


@dataclass(frozen=True, slots=True)
class DepthwiseConv2d(Requantized):
    kind: ClassVar[str] = "depthwise_conv2d"

    kernel: Pair = field(metadata=PAIR)
    stride: Pair = field(default=(1, 1), metadata=PAIR)
    padding: Padding = field(default=(0, 0, 0, 0), metadata=PADDING)
    dilation: Pair = field(default=(1, 1), metadata=PAIR)
    input_zero_point: int = field(default=0, metadata=ZERO_POINT)
    requant: Requant = field(default=Requant(), metadata=REQUANT)
    weight_bits: int = field(default=8, metadata=NUMBER)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        size = output_size(self.kind, x, self.kernel, self.stride, self.padding, self.dilation)
        return (1, *size, x[3])

    def macs(self, *inputs: Shape) -> int:
        _, oh, ow, oc = self.output_shape(*inputs)
        return oh * ow * oc * self.kernel[0] * self.kernel[1]

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        channels = inputs[0][3]
        return layer(weights((*self.kernel, channels), self.weight_bits, 2), channels)

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        (x,) = inputs
        view = windows(
            x, self.kernel, self.stride, self.padding, self.dilation, self.input_zero_point
        )
        weight = self._weight(constants, x.shape[3]).astype(np.int64)
        acc = np.einsum("nhwijc,ijc->nhwc", view.astype(np.int64), weight)
        return self.requant.apply(acc + constants["bias"], constants["multiplier"])

    def _weight(self, constants: Constants, channels: int) -> np.ndarray:
        shape = (*self.kernel, channels)
        return narrow_weights.loaded(constants["weight"], shape, self.weight_bits, 2)

    def with_weight_bits(self, bits: int) -> DepthwiseConv2d:
        return replace(self, weight_bits=bits)

    def ranges(self, reads: Ranges, inputs: Inputs, constants: Constants) -> Range:
        x = reads[0].widened(self.input_zero_point) if any(self.padding) else reads[0]
        channels = inputs[0][3]
        terms = sums(by_channel(self._weight(constants, channels)), x, channels)
        acc = terms.plus(constants["bias"])
        return requantized(self.requant, acc, constants["multiplier"])

    def accumulators(self, inputs: Inputs, constants: Constants) -> Range:
        channels = inputs[0][3]
        terms = sums(by_channel(self._weight(constants, channels)), full(channels), channels)
        return accumulated(terms, constants["bias"], self.requant.shift)

    def channels(self, inputs: Inputs, constants: Constants) -> Channels:
        return linked(*inputs, output=inputs[0]) if self.weight_bits == 8 else None

    def with_fewer_channels(
        self, fewer: Fewer, constants: Constants
    ) -> tuple[DepthwiseConv2d, Constants]:
        return self, {role: of_channels(a, fewer.stay) for role, a in constants.items()}

    def bordered(self, padding: Padding) -> Bordered:
        wider = replace(self, padding=widened(self.padding, padding))
        return Bordered(wider, self.input_zero_point)

    def lower(
        self, inputs: tuple[Shape, ...], constants: Mapping[str, np.ndarray], isa: str
    ) -> TirKernel:
        """The rows under the window are copied with their border, then no tap needs a test.

        From line to line the rows that stay under the window are kept (mcu.sliding).
        With the DSP extension four channels are done at a time, where they divide evenly.
        """
        from tinytailor.compiler.kernels.bricks import tir
        from tinytailor.compiler.kernels.bricks.kernel import Sliding, TirKernel
        from tinytailor.compiler.kernels.isa import dsp

        isa = isa if self.weight_bits == 8 else "base"
        if isa == "mve":
            from tinytailor.compiler.kernels.isa.mve_lower import lower_depthwise

            kernel = lower_depthwise(self, inputs[0], constants)
            if kernel is not None:
                return kernel
        channels = inputs[0][3]
        bordered = any(self.padding)
        row = (self._touched(inputs[0])[1] if bordered else inputs[0][2]) * channels
        # The block is matched by its loops, and loops of one turn do not survive to be matched.
        tiled = channels % 4 == 0 and self.dilation == (1, 1) and min(self.kernel) > 1
        block = None
        if isa != "base" and tiled:
            block = dsp.depthwise_block(self.kernel, row, channels, channels)
        schedule = self._computation(inputs[0])
        line, _, _ = schedule.get_loops(schedule.get_sblock("y"))
        window, rows = schedule.get_sblock("acc"), schedule.get_sblock("rows")
        inner = tir.split_channels(schedule, window, 4 if block else 1)
        if bordered:
            schedule.compute_at(rows, line)
        else:
            schedule.compute_inline(rows)
        tir.finish_window(schedule, window, inner, block)
        arguments = ("x0", "weight", "bias", "multiplier", "y")
        used = (block,) if block else ()
        overlap = {0: self._overlap(inputs[0])}
        sliding = Sliding("rows", self._span, self.stride[0]) if self._slides(inputs[0]) else None
        return TirKernel(schedule.mod["main"], arguments, dict(constants), used, overlap, sliding)

    def _overlap(self, shape: Shape) -> int:
        """With a border a line is copied, then written; without, a pixel is read, then written."""
        _, oh, ow, channels = self.output_shape(shape)
        if self._slides(shape):
            lines = np.arange(oh)
            rows = lines * self.stride[0] - self.padding[0] + self._span - self.stride[0]
            reads = np.maximum(rows, 0) * shape[2] * channels
            return overlap_distance(reads, (lines + 1) * ow * channels)
        step = ow if any(self.padding) else 1
        pixels = np.arange(0, oh * ow, step)
        reads = first_reads(shape, pixels, ow, self.stride, self.padding)
        return overlap_distance(reads, (pixels + step) * channels)

    @property
    def _span(self) -> int:
        """Rows under the window."""
        return (self.kernel[0] - 1) * self.dilation[0] + 1

    def _slides(self, shape: Shape) -> bool:
        """Whether lines are copied and share rows; a loop of one line would not be there."""
        lines = self.output_shape(shape)[1]
        return any(self.padding) and 1 < self._span > self.stride[0] and lines > 1

    def _touched(self, shape: Shape) -> Pair:
        """Rows and columns of the padded map that windows touch; TVM would cut it down to them."""
        _, oh, ow, _ = self.output_shape(shape)
        tall, wide = (
            (n - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis] + 1
            for axis, n in enumerate((oh, ow))
        )
        return tall, wide

    def _computation(self, shape: Shape) -> Any:
        """Rows with their border, window, requantization."""
        from tvm import te

        from tinytailor.compiler.kernels.bricks import tir

        _, oh, ow, channels = self.output_shape(shape)
        x = te.placeholder(shape, "int8", name="x")
        w, b, m = (
            te.placeholder(spec.shape, spec.dtype, name=role)
            for role, spec in self.constants(shape).items()
        )
        border = tir.border(self.input_zero_point, "int8")
        padded = tir.padded(x, self.padding, border)
        rows = te.compute((*self._touched(shape), channels), padded, name="rows")
        i, j = (te.reduce_axis((0, n), name) for n, name in zip(self.kernel, "ij", strict=True))

        def window(h: Any, v: Any, c: Any) -> Any:
            row = h * self.stride[0] + i * self.dilation[0]
            column = v * self.stride[1] + j * self.dilation[1]
            weight = tir.narrow(lambda place: w[i, j, place], c, self.weight_bits)
            return te.sum(tir.int32(rows[row, column, c]) * weight, axis=[i, j])

        acc = te.compute((oh, ow, channels), window, name="acc")
        y = te.compute(
            (oh, ow, channels),
            lambda h, v, c: tir.requantize(acc[h, v, c] + b[c], m[c], self.requant),
            name="y",
        )
        return tir.schedule_of((x, w, b, m, y))
