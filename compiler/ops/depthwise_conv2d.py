# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution with multiplier 1, int8, NHWC.

    acc[h,w,c] = bias[c] + sum_{i,j} x[h*s + i*d - p, w*s + j*d - p, c] * weight[i,j,c]
    y[h,w,c]   = requant(acc[h,w,c], multiplier[c])

The bias already holds -zp_x * sum(weight[:,:,c]) and the border reads zp_x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import (
    EXAMPLE_ZERO_POINT,
    ConstantShapes,
    example_requant,
)
from tinytailor.compiler.ops.geometry import Padding, Pair, output_size, padding4, pair, windows
from tinytailor.compiler.quantization import Requant

if TYPE_CHECKING:
    from tinytailor.compiler.mcu.kernel import TirKernel


@dataclass(frozen=True, slots=True)
class DepthwiseConv2d:
    kind: ClassVar[str] = "depthwise_conv2d"

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    input_zero_point: int = 0
    requant: Requant = Requant()

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        size = output_size(self.kind, x, self.kernel, self.stride, self.padding, self.dilation)
        return (1, *size, x[3])

    def macs(self, *inputs: Shape) -> int:
        _, oh, ow, oc = self.output_shape(*inputs)
        return oh * ow * oc * self.kernel[0] * self.kernel[1]

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        channels = inputs[0][3]
        return {
            "weight": ((*self.kernel, channels), "int8"),
            "bias": ((channels,), "int32"),
            "multiplier": ((channels,), "int32"),
        }

    def key_attributes(self) -> dict[str, Any]:
        return {
            "kernel": list(self.kernel),
            "stride": list(self.stride),
            "padding": list(self.padding),
            "dilation": list(self.dilation),
            "shifted": self.requant.shift > 0,
        }

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> DepthwiseConv2d:
        return cls(
            pair(attributes["kernel"]),
            pair(attributes["stride"]),
            padding4(attributes["padding"]),
            pair(attributes["dilation"]),
            input_zero_point=EXAMPLE_ZERO_POINT,
            requant=example_requant(attributes),
        )

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        (x,) = inputs
        view = windows(
            x, self.kernel, self.stride, self.padding, self.dilation, self.input_zero_point
        )
        acc = np.einsum(
            "nhwijc,ijc->nhwc", view.astype(np.int64), constants["weight"].astype(np.int64)
        )
        return self.requant.apply(acc + constants["bias"], constants["multiplier"])

    def lower(
        self, inputs: tuple[Shape, ...], constants: Mapping[str, np.ndarray], isa: str
    ) -> TirKernel:
        """The rows under the window are copied with their border, then no tap needs a test.

        With the DSP extension four channels are done at a time, where they divide evenly.
        """
        from tvm import te

        from tinytailor.compiler.mcu import intrinsics, tir
        from tinytailor.compiler.mcu.kernel import TirKernel

        ((_, height, width, channels),) = inputs
        _, oh, ow, _ = self.output_shape(*inputs)
        kh, kw = self.kernel
        x = te.placeholder((1, height, width, channels), "int8", name="x")
        w = te.placeholder((kh, kw, channels), "int8", name="weight")
        b = te.placeholder((channels,), "int32", name="bias")
        m = te.placeholder((channels,), "int32", name="multiplier")
        # Exactly what the windows touch: TVM would cut a larger buffer down to it.
        tall, wide = (
            (n - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis] + 1
            for axis, n in enumerate((oh, ow))
        )
        border = te.compute(
            (tall, wide, channels), tir.padded(x, self.padding, self.input_zero_point), name="rows"
        )
        i, j = te.reduce_axis((0, kh), "i"), te.reduce_axis((0, kw), "j")

        def product(h: Any, v: Any, c: Any) -> Any:
            tap = border[
                h * self.stride[0] + i * self.dilation[0],
                v * self.stride[1] + j * self.dilation[1],
                c,
            ]
            return te.sum(tir.int32(tap) * tir.int32(w[i, j, c]), axis=[i, j])

        acc = te.compute((oh, ow, channels), product, name="acc")
        y = te.compute(
            (oh, ow, channels),
            lambda h, v, c: tir.requantize(acc[h, v, c] + b[c], m[c], self.requant),
            name="y",
        )
        schedule = tir.schedule_of((x, w, b, m, y))
        # The block is matched by its loops, and loops of one turn do not survive to be matched.
        tiled = isa != "base" and channels % 4 == 0 and self.dilation == (1, 1) and min(kh, kw) > 1
        line, _, channel = schedule.get_loops(schedule.get_sblock("y"))
        outer, inner = schedule.split(channel, [None, 4 if tiled else 1])
        taps, rows = schedule.get_sblock("acc"), schedule.get_sblock("rows")
        schedule.compute_at(taps, outer, preserve_unit_loops=True)
        if any(self.padding):
            schedule.compute_at(rows, line)
        else:
            schedule.compute_inline(rows)
        used: tuple[intrinsics.Intrinsic, ...] = ()
        if tiled:
            row = (wide if any(self.padding) else width) * channels
            block = intrinsics.depthwise_block(self.kernel, row, channels, channels)
            used = (block,)
            tir.tensorize_tile(schedule, taps, block.name)
            schedule.unroll(inner)
        else:
            schedule.decompose_reduction(taps, schedule.get_loops(taps)[-2])
        arguments = ("x0", "weight", "bias", "multiplier", "y")
        return TirKernel(schedule.mod["main"], arguments, dict(constants), used)
