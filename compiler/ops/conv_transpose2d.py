# SPDX-License-Identifier: Apache-2.0
"""Transposed convolution, int8, NHWC: each output pixel gathers the taps that reach it.

    acc[h,w,o] = bias[o] + sum x[(h + p - i) / s, (w + p - j) / s, g*C/G + c] * weight[o,i,j,c]
    y[h,w,o]   = requant(acc[h,w,o], multiplier[o])     over all i, j where both divisions are exact

Where a tap falls between or outside the input pixels it reads zp_x; the bias already holds
-zp_x * sum(weight[o]). A negative padding below or on the right makes the output larger there, as
output_padding does. Output pixels whose h mod s and w mod s agree have the same taps, every s-th of
the kernel, so the kernel is cut into s * s small ones and each output pixel multiplies by one of
them. Where s does not divide the kernel some of them are filled up with zeros. The bias of each
takes back what the zero points would have summed up under the taps that it leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import Inputs, Requantized
from tinytailor.compiler.ops.geometry import Padding, Pair, overlap_distance, padding4, windows
from tinytailor.compiler.ops.grouped_conv2d import check_groups, grouped_product
from tinytailor.compiler.ops.traits.constants import Constants, ConstantSpecs, layer, weights
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


@dataclass(frozen=True, slots=True)
class ConvTranspose2d(Requantized):
    kind: ClassVar[str] = "conv_transpose2d"
    in_place: ClassVar[bool] = False

    out_channels: int = field(metadata=NUMBER)
    kernel: Pair = field(metadata=PAIR)
    stride: Pair = field(default=(1, 1), metadata=PAIR)
    padding: Padding = field(default=(0, 0, 0, 0), metadata=PADDING)
    groups: int = field(default=1, metadata=NUMBER)
    input_zero_point: int = field(default=0, metadata=ZERO_POINT)
    requant: Requant = field(default=Requant(), metadata=REQUANT)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) != 4 or x[0] != 1:
            raise InputError(f"{self.kind}: input shape {x}, expected (1, height, width, channels)")
        check_groups(self.kind, self.groups, x[3], self.out_channels)
        if min(self.padding[:2]) < 0:
            raise InputError(f"{self.kind}: padding {self.padding}, expected no negative top, left")
        height, width = (
            (x[1 + axis] - 1) * self.stride[axis] + self.kernel[axis] - sum(self.padding[axis::2])
            for axis in (0, 1)
        )
        if height < 1 or width < 1:
            raise InputError(f"{self.kind}: padding {self.padding} leaves nothing of the output")
        return (1, height, width, self.out_channels)

    def macs(self, *inputs: Shape) -> int:
        _, height, width, channels = inputs[0]
        taps = self.kernel[0] * self.kernel[1]
        return height * width * channels * taps * self.out_channels // self.groups

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        shape = (self.out_channels, *self.kernel, inputs[0][3] // self.groups)
        return layer(weights(shape), self.out_channels)

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        """An ordinary convolution of the map with s - 1 zero points between its pixels."""
        (x,) = inputs
        n, height, width, channels = x.shape
        (sh, sw), (kh, kw) = self.stride, self.kernel
        spread = np.full(
            (n, (height - 1) * sh + 1, (width - 1) * sw + 1, channels),
            self.input_zero_point,
            np.int8,
        )
        spread[:, ::sh, ::sw] = x
        top, left, bottom, right = self.padding
        around = [kh - 1 - top, kw - 1 - left, kh - 1 - bottom, kw - 1 - right]
        cut = [max(0, -width) for width in around]
        rows, columns = spread.shape[1:3]
        spread = spread[:, cut[0] : rows - cut[2], cut[1] : columns - cut[3]]
        padding = padding4(max(0, width) for width in around)
        view = windows(spread, self.kernel, (1, 1), padding, (1, 1), self.input_zero_point)
        flipped = constants["weight"][:, ::-1, ::-1]
        acc = grouped_product(view, flipped, self.groups) + constants["bias"]
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
        """Tiles of output pixels that share their taps; see ``Patches``."""
        from tvm import te, tirx

        from tinytailor.compiler.kernels.bricks import tir
        from tinytailor.compiler.kernels.bricks.patches import Patches, patch_kernel

        _, oh, ow, oc = self.output_shape(*inputs)
        _, height, width, depth = inputs[0]
        channels, taps = depth // self.groups, self._taps
        sizes = Patches((oh, ow), self.groups, oc // self.groups, taps, channels, self.stride)
        x = te.placeholder(inputs[0], "int8", name="x0")
        top, left = self.padding[:2]
        run = taps[1] * channels

        def gather(h: Any, r: Any, v: Any, g: Any, k: Any, number: Any) -> Any:
            row = (h + top) // self.stride[0] - k // run
            column = v + (r + left) // self.stride[1] - (k % run) // channels
            inside = tir.inside(row, column, height, width)
            value = x[0, row, column, g * channels + k % channels].astype("int16")
            return tirx.if_then_else(inside, value, tir.border(self.input_zero_point, "int16"))

        overlap = {0: self._overlap(inputs[0], sizes.tile(isa)[0])}
        phases = self._phases(constants["weight"]).astype(np.int64)
        parts = phases.sum(axis=(3, 4, 5)).reshape(-1, oc)
        left_out = self.input_zero_point * (parts.sum(axis=0) - parts)
        cut = {
            "weight": phases.astype(np.int8),
            "bias": (constants["bias"] + left_out).astype(np.int32),
            "multiplier": constants["multiplier"],
        }
        return patch_kernel(sizes, (x,), gather, cut, self.requant, overlap, isa)

    @property
    def _taps(self) -> Pair:
        """Of the small kernels."""
        return -(-self.kernel[0] // self.stride[0]), -(-self.kernel[1] // self.stride[1])

    def _phases(self, weight: np.ndarray) -> np.ndarray:
        """(O, KH, KW, C) to the small kernels, (SH, SW, O, TH, TW, C)."""
        (sh, sw), (th, tw), (top, left) = self.stride, self._taps, self.padding[:2]
        full = np.zeros((len(weight), th * sh, tw * sw, weight.shape[3]), np.int8)
        full[:, : self.kernel[0], : self.kernel[1]] = weight
        return np.array(
            [
                [full[:, (r + top) % sh :: sh, (q + left) % sw :: sw] for q in range(sw)]
                for r in range(sh)
            ]
        )

    def _overlap(self, shape: Shape, p: int) -> int:
        """Tiles of p output pixels of one phase are gathered, then written, row after row."""
        _, oh, ow, oc = self.output_shape(shape)
        _, _, width, channels = shape
        (sh, sw), (th, tw) = self.stride, self._taps
        if self.stride == (1, 1) and ow % p:  # the whole map as one line of tiles
            first = np.arange(0, oh * ow, p)
            last = np.minimum(first + p, oh * ow)
            rows, columns = first // ow, np.zeros_like(first)
        else:
            tiles = -(-ow // (p * sw))
            rows, tile, phase = (a.ravel() for a in np.indices((oh, tiles, sw)))
            last = rows * ow + np.minimum((tile * p + p - 1) * sw + phase + 1, ow)
            columns = np.maximum(tile * p + (phase + self.padding[1]) // sw - (tw - 1), 0)
        rows = np.maximum((rows + self.padding[0]) // sh - (th - 1), 0)
        reads = (rows * width + np.minimum(columns, width - 1)) * channels
        return overlap_distance(reads, np.maximum.accumulate(last) * oc)
