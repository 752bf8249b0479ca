# SPDX-License-Identifier: Apache-2.0
"""Deformable convolution with whole-pixel offsets, int8, NHWC: the rounded form of DeformConv.

    (dy, dx)   = pixels[offset[h, w, 2*(t*KH*KW + i*KW + j) + (0, 1)] + 128]      t = c / (C/T)
    acc[h,w,o] = bias[o]
                 + sum_{i,j,c} x[h*s + i*d - p + dy, w*s + j*d - p + dx, c] * weight[o,i,j,c]
    y[h,w,o]   = requant(acc[h,w,o], multiplier[o])

``offset`` is the second input, (1, OH, OW, 2*T*KH*KW) for T offset groups; ``pixels`` holds what
its 256 integers stand for, rounded half to even. Sampling between pixels has no integer form here:
at whole pixels the bilinear sampling of the ONNX operator is this one. Pixels outside the map read
zp_x, and the bias already holds -zp_x * sum(weight[o]). Groups as in GroupedConv2d.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import Inputs, Requantized
from tinytailor.compiler.ops.geometry import Padding, Pair, output_size, overlap_distance, sampled
from tinytailor.compiler.ops.grouped_conv2d import check_groups, grouped_product
from tinytailor.compiler.ops.traits.constants import (
    Constants,
    ConstantSpecs,
    layer,
    pixels,
    weights,
)
from tinytailor.compiler.ops.traits.keys import NUMBER, PADDING, PAIR, REQUANT, ZERO_POINT
from tinytailor.compiler.ops.traits.ranges import (
    Range,
    Ranges,
    accumulated,
    full,
    requantized,
    sums,
)
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    from tinytailor.compiler.kernels.bricks.kernel import TirKernel

MAX_PIXELS = 2**15 - 1  # offsets beyond it are as far outside the map


@dataclass(frozen=True, slots=True)
class DeformConv2d(Requantized):
    kind: ClassVar[str] = "deform_conv2d"

    out_channels: int = field(metadata=NUMBER)
    kernel: Pair = field(metadata=PAIR)
    stride: Pair = field(default=(1, 1), metadata=PAIR)
    padding: Padding = field(default=(0, 0, 0, 0), metadata=PADDING)
    dilation: Pair = field(default=(1, 1), metadata=PAIR)
    groups: int = field(default=1, metadata=NUMBER)
    offset_groups: int = field(default=1, metadata=NUMBER)
    input_zero_point: int = field(default=0, metadata=ZERO_POINT)
    requant: Requant = field(default=Requant(), metadata=REQUANT)

    def output_shape(self, *inputs: Shape) -> Shape:
        x, offset = inputs
        size = output_size(self.kind, x, self.kernel, self.stride, self.padding, self.dilation)
        check_groups(self.kind, self.groups, x[3], self.out_channels)
        if self.offset_groups < 1 or x[3] % self.offset_groups:
            raise InputError(
                f"{self.kind}: {self.offset_groups} offset groups for {x[3]} channels, expected a "
                "divisor"
            )
        expected = (1, *size, 2 * self.offset_groups * self.kernel[0] * self.kernel[1])
        if offset != expected:
            raise InputError(f"{self.kind}: offset shape {offset}, expected {expected}")
        return (1, *size, self.out_channels)

    def macs(self, *inputs: Shape) -> int:
        _, oh, ow, oc = self.output_shape(*inputs)
        return oh * ow * oc * self.kernel[0] * self.kernel[1] * inputs[0][3] // self.groups

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        shape = (self.out_channels, *self.kernel, inputs[0][3] // self.groups)
        return {**layer(weights(shape), self.out_channels), "pixels": pixels()}

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        x, offset = inputs
        n, oh, ow, _ = offset.shape
        moved = constants["pixels"].astype(np.int64)[offset.astype(np.int64) + 128]
        moved = moved.reshape(n, oh, ow, self.offset_groups, *self.kernel, 2)
        starts = [
            np.arange(size)[:, None] * s + np.arange(k)[None, :] * d - p
            for size, k, s, d, p in zip(
                (oh, ow), self.kernel, self.stride, self.dilation, self.padding[:2], strict=True
            )
        ]
        rows = starts[0][None, :, None, None, :, None] + moved[..., 0]
        columns = starts[1][None, None, :, None, None, :] + moved[..., 1]
        parts = np.split(x, self.offset_groups, axis=3)
        views = [
            sampled(part, rows[:, :, :, t], columns[:, :, :, t], self.input_zero_point)
            for t, part in enumerate(parts)
        ]
        view = np.concatenate(views, axis=-1)
        acc = grouped_product(view, constants["weight"], self.groups) + constants["bias"]
        return self.requant.apply(acc, constants["multiplier"])

    def ranges(self, reads: Ranges, inputs: Inputs, constants: Constants) -> Range:
        terms = sums(constants["weight"], reads[0].widened(self.input_zero_point), self.groups)
        acc = terms.plus(constants["bias"])
        return requantized(self.requant, acc, constants["multiplier"])

    def accumulators(self, inputs: Inputs, constants: Constants) -> Range:
        terms = sums(constants["weight"], full(inputs[0][3]), self.groups)
        return accumulated(terms, constants["bias"], self.requant.shift)

    def lower(
        self, inputs: tuple[Shape, ...], constants: Mapping[str, np.ndarray], isa: str
    ) -> TirKernel:
        """Where each tap of a pixel lies is found once for all its channels."""
        from tvm import te, tirx

        from tinytailor.compiler.kernels.bricks import tir
        from tinytailor.compiler.kernels.bricks.patches import Patches, Prepared, patch_kernel

        _, oh, ow, oc = self.output_shape(*inputs)
        _, height, width, depth = inputs[0]
        channels, taps = depth // self.groups, self.kernel[0] * self.kernel[1]
        sizes = Patches((oh, ow), self.groups, oc // self.groups, self.kernel, channels)
        x = te.placeholder(inputs[0], "int8", name="x0")
        offset = te.placeholder(inputs[1], "int8", name="x1")
        pixels = te.placeholder((256,), "int16", name="pixels")

        def coordinate(h: Any, v: Any, n: Any) -> Any:
            """Row (n even) or column (n odd) under tap n / 2 of all offset groups."""
            tap = n // 2 % taps
            row = h * self.stride[0] + tap // self.kernel[1] * self.dilation[0] - self.padding[0]
            column = v * self.stride[1] + tap % self.kernel[1] * self.dilation[1] - self.padding[1]
            moved = pixels[tir.int32(offset[0, h, v, n]) + 128]
            return tirx.Select(n % 2 == 0, row, column) + tir.int32(moved)

        def gather(h: Any, r: Any, v: Any, g: Any, k: Any, number: Any) -> Any:
            channel = g * channels + k % channels
            place = channel // (depth // self.offset_groups) * taps + k // channels
            row, column = number(2 * place), number(2 * place + 1)
            inside = tir.inside(row, column, height, width)
            border = tir.border(self.input_zero_point, "int16")
            return tirx.if_then_else(inside, x[0, row, column, channel].astype("int16"), border)

        prepared = Prepared(inputs[1][3], coordinate)
        p = sizes.tile(isa)[0]
        tiles = np.arange(0, oh * ow, p)
        written = np.minimum(tiles + p, oh * ow) * oc
        overlap = {1: overlap_distance(tiles * inputs[1][3], written)}
        reads = (x, offset, pixels)
        return patch_kernel(sizes, reads, gather, constants, self.requant, overlap, isa, prepared)
