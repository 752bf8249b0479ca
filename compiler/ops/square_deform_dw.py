# SPDX-License-Identifier: Apache-2.0
"""Square deformable depthwise convolution (the CoDeNet operator), int8, NHWC.

One integer dilation per pixel, made by a 1x1 convolution of the same map, spreads a 3x3 kernel:

    offset[h,w] = offset_bias + sum_c x[h,w,c] * offset_weight[c]
    d[h,w]      = clamp(requant(offset[h,w], offset_multiplier), 0, 7)
    acc[h,w,c]  = bias[c] + sum_{i,j in -1..1} x[h + i*d, w + j*d, c] * weight[i,j,c]
    y[h,w,c]    = requant(acc[h,w,c], multiplier[c])

Pixels outside the map read input_zero_point; bias and offset_bias already hold -zp_x * sum(weight).
The offset path is a requantization to scale 1 and zero point 0, so that d is a number of pixels.
It equals sum_{k in 0..7} [d == k] * DepthwiseConv(dilation=k) at an eighth of the multiplications.

In an ONNX file it is a node of domain "tinytailor", op_type "SquareDeformDW", without attributes,
on float inputs in NCHW, between DequantizeLinear and QuantizeLinear:

    x (1,C,H,W)   offset_weight (C,)   offset_bias (1,)   weight (C,1,3,3)   bias (C,)

x is a dequantized int8 activation of scale s_x. offset_weight is dequantized from int8 with one
scale s_o, weight from int8 with one scale s_w[c] per channel (axis 0), offset_bias from int32 with
scale s_x * s_o and bias from int32 with scale s_x * s_w[c], axis 0. An optional Relu may follow,
then QuantizeLinear. In floats, too, the offset is rounded half up: d = clamp(floor(o + 1/2), 0, 7).
Source: Dong et al., CoDeNet (FPGA 2021), section 3, with one of its four published forms chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import Inputs, Requantized
from tinytailor.compiler.ops.geometry import first_reads, overlap_distance, sampled
from tinytailor.compiler.ops.traits.constants import (
    Constants,
    ConstantSpecs,
    biases,
    layer,
    scales,
    weights,
)
from tinytailor.compiler.ops.traits.keys import REQUANT, ZERO_POINT, in_key
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
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    from tinytailor.compiler.kernels.bricks.kernel import TirKernel

MAX_DILATION = 7
TAPS = (-1, 0, 1)


@dataclass(frozen=True, slots=True)
class SquareDeformDW(Requantized):
    """``offset_shift`` belongs to the requantization of the offset, ``requant`` is the output's."""

    kind: ClassVar[str] = "square_deform_dw"

    input_zero_point: int = field(default=0, metadata=ZERO_POINT)
    offset_shift: int = field(
        default=0,
        metadata=in_key(
            lambda _, shift: {"offset_shifted": shift > 0},
            lambda _, attributes: int(attributes["offset_shifted"]),
        ),
    )
    requant: Requant = field(default=Requant(), metadata=REQUANT)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) != 4 or x[0] != 1:
            raise InputError(f"{self.kind}: input shape {x}, expected (1, height, width, channels)")
        return x

    def macs(self, *inputs: Shape) -> int:
        _, height, width, channels = self.output_shape(*inputs)
        return height * width * channels * (len(TAPS) ** 2 + 1)

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        channels = inputs[0][3]
        return {
            "offset_weight": weights((channels,)),
            "offset_bias": biases((1,)),
            "offset_multiplier": scales((1,)),
            **layer(weights((len(TAPS), len(TAPS), channels)), channels),
        }

    def dilations(self, x: np.ndarray, constants: Constants) -> np.ndarray:
        """(N, H, W, C) to the dilation of each pixel, (N, H, W) int8 in 0..7."""
        acc = x.astype(np.int64) @ constants["offset_weight"].astype(np.int64)
        to_pixels = Requant(shift=self.offset_shift, low=0, high=MAX_DILATION)
        acc = acc[..., None] + constants["offset_bias"]
        return to_pixels.apply(acc, constants["offset_multiplier"])[..., 0]

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        (x,) = inputs
        d = self.dilations(x, constants).astype(np.int64)
        row, column = np.indices(x.shape[1:3])
        acc = np.broadcast_to(constants["bias"].astype(np.int64), x.shape).copy()
        for i in TAPS:
            for j in TAPS:
                tap = sampled(x, row + i * d, column + j * d, self.input_zero_point)
                acc += tap.astype(np.int64) * constants["weight"][i + 1, j + 1]
        return self.requant.apply(acc, constants["multiplier"])

    def ranges(self, reads: Ranges, inputs: Inputs, constants: Constants) -> Range:
        x = reads[0].widened(self.input_zero_point)
        terms = sums(by_channel(constants["weight"]), x, inputs[0][3])
        acc = terms.plus(constants["bias"])
        return requantized(self.requant, acc, constants["multiplier"])

    def accumulators(self, inputs: Inputs, constants: Constants) -> Range:
        x = full(inputs[0][3])
        terms = sums(by_channel(constants["weight"]), x, inputs[0][3])
        offset = sums(constants["offset_weight"][None], x)
        to_pixels = accumulated(offset, constants["offset_bias"], self.offset_shift)
        return accumulated(terms, constants["bias"], self.requant.shift).joined(to_pixels)

    def lower(
        self, inputs: tuple[Shape, ...], constants: Mapping[str, np.ndarray], isa: str
    ) -> TirKernel:
        """Per pixel: its dilation, then the nine taps gathered side by side, then a plain window.

        A tap is one contiguous run of channels, so gathering it is one copy or one fill.
        """
        from tinytailor.compiler.kernels.bricks import tir
        from tinytailor.compiler.kernels.bricks.kernel import TirKernel
        from tinytailor.compiler.kernels.isa import dsp

        channels = inputs[0][3]
        roles = tuple(self.constants(*inputs))
        schedule = self._computation(inputs[0])
        block = None
        if isa != "base" and channels % 4 == 0:
            block = dsp.depthwise_block((3, 3), 3 * channels, channels, channels)
        _, pixel, _ = schedule.get_loops(schedule.get_sblock("y"))
        window, taps = schedule.get_sblock("acc"), schedule.get_sblock("taps")
        inner = tir.split_channels(schedule, window, 4 if block else 1)
        for stage in (taps, schedule.get_sblock("d"), schedule.get_sblock("offset")):
            schedule.compute_at(stage, pixel, preserve_unit_loops=True)
        offset = schedule.get_sblock("offset")
        schedule.decompose_reduction(offset, schedule.get_loops(offset)[-1])
        tir.finish_window(schedule, window, inner, block)
        used = (block,) if block else ()
        overlap = {0: self._overlap(inputs[0])}
        return TirKernel(schedule.mod["main"], ("x0", *roles, "y"), dict(constants), used, overlap)

    def _overlap(self, shape: Shape) -> int:
        """A pixel is gathered from as far as the dilation reaches, then written."""
        _, height, width, channels = shape
        pixels = np.arange(height * width)
        reach = (MAX_DILATION,) * 4
        reads = first_reads(shape, pixels, width, (1, 1), reach)
        return overlap_distance(reads, (pixels + 1) * channels)

    def _computation(self, shape: Shape) -> Any:
        """Offset, dilation, taps, window, requantization, each a stage of its own."""
        from tvm import te, tirx

        from tinytailor.compiler.kernels.bricks import tir

        _, height, width, channels = shape
        x = te.placeholder(shape, "int8", name="x")
        roles = {
            role: te.placeholder(spec.shape, spec.dtype, name=role)
            for role, spec in self.constants(shape).items()
        }
        k = te.reduce_axis((0, channels), "k")
        i, j = te.reduce_axis((0, 3), "i"), te.reduce_axis((0, 3), "j")

        def offset_sum(h: Any, v: Any) -> Any:
            weight = tir.int32(roles["offset_weight"][k])
            return te.sum(tir.int32(x[0, h, v, k]) * weight, axis=k)

        def dilation(h: Any, v: Any) -> Any:
            total = offset[h, v] + roles["offset_bias"][0]
            to_pixels = Requant(shift=self.offset_shift, low=0, high=MAX_DILATION)
            multiplier = roles["offset_multiplier"][0]
            return tir.int32(tir.requantize(total, multiplier, to_pixels, "offset_"))

        def tap(h: Any, v: Any, i: Any, j: Any, c: Any) -> Any:
            row, column = h + (i - 1) * d[h, v], v + (j - 1) * d[h, v]
            inside = tir.inside(row, column, height, width)
            border = tir.border(self.input_zero_point, "int8")
            return tirx.if_then_else(inside, x[0, row, column, c], border)

        def window(h: Any, v: Any, c: Any) -> Any:
            weight = tir.int32(roles["weight"][i, j, c])
            return te.sum(tir.int32(taps[h, v, i, j, c]) * weight, axis=[i, j])

        def requantized(h: Any, v: Any, c: Any) -> Any:
            total = acc[h, v, c] + roles["bias"][c]
            return tir.requantize(total, roles["multiplier"][c], self.requant)

        offset = te.compute((height, width), offset_sum, name="offset")
        d = te.compute((height, width), dilation, name="d")
        taps = te.compute((height, width, 3, 3, channels), tap, name="taps")
        acc = te.compute((height, width, channels), window, name="acc")
        y = te.compute((height, width, channels), requantized, name="y")
        return tir.schedule_of((x, *roles.values(), y))
