# SPDX-License-Identifier: Apache-2.0
"""Convolution, int8, NHWC, one group.

    acc[h,w,o] = bias[o] + sum_{i,j,c} x[h*s + i*d - p, w*s + j*d - p, c] * weight[o,i,j,c]
    y[h,w,o]   = requant(acc[h,w,o], multiplier[o])

The bias already holds -zp_x * sum(weight[o]) and the border reads zp_x, so the sum runs over raw x.
With a fused ``add`` a second input r of the output's shape is added to the result where it is
stored, y = add(requant(acc), r): the integers of a Conv2d and an Add after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinytailor.compiler import narrow_weights
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.add import Add
from tinytailor.compiler.ops.base import Inputs, Operator, Requantized
from tinytailor.compiler.ops.geometry import (
    Padding,
    Pair,
    output_size,
    tile_overlap,
    widened,
    windows,
)
from tinytailor.compiler.ops.traits.channels import Channels, Fewer, Mixed, mixed
from tinytailor.compiler.ops.traits.constants import Constants, ConstantSpecs, layer, weights
from tinytailor.compiler.ops.traits.keys import (
    NUMBER,
    PADDING,
    PAIR,
    REQUANT,
    ZERO_POINT,
    in_key,
)
from tinytailor.compiler.ops.traits.neighbours import Bordered, Clamp
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
    from tinytailor.compiler.kernels.isa import dsp

_ADD = in_key(
    lambda name, add: {} if add is None else {name: add.key_attributes()},
    lambda name, attributes: Add.from_key(attributes[name]) if name in attributes else None,
)


@dataclass(frozen=True, slots=True)
class Conv2d(Requantized):
    kind: ClassVar[str] = "conv2d"
    takes_epilogue: ClassVar[bool] = True

    out_channels: int = field(metadata=NUMBER)
    kernel: Pair = field(metadata=PAIR)
    stride: Pair = field(default=(1, 1), metadata=PAIR)
    padding: Padding = field(default=(0, 0, 0, 0), metadata=PADDING)
    dilation: Pair = field(default=(1, 1), metadata=PAIR)
    input_zero_point: int = field(default=0, metadata=ZERO_POINT)
    requant: Requant = field(default=Requant(), metadata=REQUANT)
    add: Add | None = field(default=None, metadata=_ADD)
    weight_bits: int = field(default=8, metadata=NUMBER)

    def output_shape(self, *inputs: Shape) -> Shape:
        x, *added = inputs
        size = output_size(self.kind, x, self.kernel, self.stride, self.padding, self.dilation)
        y = (1, *size, self.out_channels)
        if added != ([y] if self.add else []):
            raise InputError(f"{self.kind}: adds inputs {added} to an output of shape {y}")
        return y

    def macs(self, *inputs: Shape) -> int:
        _, oh, ow, oc = self.output_shape(*inputs)
        return oh * ow * oc * self.kernel[0] * self.kernel[1] * inputs[0][3]

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        shape = (self.out_channels, *self.kernel, inputs[0][3])
        return layer(weights(shape, self.weight_bits, 1), self.out_channels)

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        x, *added = inputs
        view = windows(
            x, self.kernel, self.stride, self.padding, self.dilation, self.input_zero_point
        )
        n, oh, ow = view.shape[:3]
        # float64 holds these integers exactly and multiplies through BLAS.
        columns = view.reshape(n * oh * ow, -1).astype(np.float64)
        weight = self._weight(constants, x.shape[3])
        weight = weight.reshape(self.out_channels, -1).astype(np.float64)
        acc = (columns @ weight.T).astype(np.int64) + constants["bias"]
        y = self.requant.apply(acc, constants["multiplier"]).reshape(n, oh, ow, -1)
        return self.add.reference((y, *added), {}) if self.add else y

    def _weight(self, constants: Constants, channels: int) -> np.ndarray:
        shape = (self.out_channels, *self.kernel, channels)
        return narrow_weights.loaded(constants["weight"], shape, self.weight_bits, 1)

    def with_weight_bits(self, bits: int) -> Conv2d:
        return replace(self, weight_bits=bits)

    def ranges(self, reads: Ranges, inputs: Inputs, constants: Constants) -> Range:
        x = reads[0].widened(self.input_zero_point) if any(self.padding) else reads[0]
        acc = sums(self._weight(constants, inputs[0][3]), x).plus(constants["bias"])
        y = requantized(self.requant, acc, constants["multiplier"])
        if self.add is None:
            return y
        return self.add.ranges((y, reads[1]), (inputs[1], inputs[1]), {})

    def accumulators(self, inputs: Inputs, constants: Constants) -> Range:
        channels = inputs[0][3]
        terms = sums(self._weight(constants, channels), full(channels))
        acc = accumulated(terms, constants["bias"], self.requant.shift)
        return acc.joined(self.add.accumulators(inputs, {})) if self.add else acc

    def clamp(self) -> Clamp | None:
        return self.add.clamp() if self.add else Requantized.clamp(self)

    def with_clamp(self, clamp: Clamp) -> Conv2d:
        if self.add:
            return replace(self, add=self.add.with_clamp(clamp))
        return Requantized.with_clamp(self, clamp)

    def channels(self, inputs: Inputs, constants: Constants) -> Channels:
        if self.add or self.weight_bits != 8:
            return None
        border = self.input_zero_point if any(self.padding) else None
        return Mixed(constants["weight"], constants["bias"], border)

    def with_fewer_channels(self, fewer: Fewer, constants: Constants) -> tuple[Conv2d, Constants]:
        return replace(self, out_channels=fewer.count), mixed(constants, fewer)

    def bordered(self, padding: Padding) -> Bordered:
        wider = replace(self, padding=widened(self.padding, padding))
        return Bordered(wider, self.input_zero_point)

    def ended_by(self, epilogue: Operator) -> Conv2d | None:
        if self.add is not None or not isinstance(epilogue, Add):
            return None
        return replace(self, add=epilogue)

    def lower(
        self, inputs: tuple[Shape, ...], constants: Mapping[str, np.ndarray], isa: str
    ) -> TirKernel:
        """Pixels are gathered into int16 rows once (im2col) and multiplied with all channels.

        With the DSP extension the product runs in 2 x 2 tiles (1 x 4 for a single pixel); pixels
        and channels are padded to whole tiles, and only real outputs are stored.
        """
        from tinytailor.compiler.kernels.bricks.kernel import TirKernel
        from tinytailor.compiler.kernels.isa import dsp

        isa = isa if self.weight_bits == 8 else "base"
        if isa == "mve":
            from tinytailor.compiler.kernels.isa.mve_lower import lower_conv2d

            kernel = lower_conv2d(self, inputs, constants)
            if kernel is not None:
                return kernel
        _, oh, ow, oc = inputs[1] if self.add else self.output_shape(*inputs)
        depth = self.kernel[0] * self.kernel[1] * inputs[0][3]
        # TVM drops loops of one turn, so a depth of one leaves nothing to tensorize.
        tiled = isa != "base" and depth > 1
        tile = (1, 1) if not tiled else (1, 4) if oh * ow == 1 else (2, 2)
        columns = -(-oc // tile[1]) * tile[1]
        weight = constants["weight"].reshape(oc, -1)
        packed = {
            "weight": dsp.pack_weights(weight, columns) if tiled else weight,
            "bias": np.pad(constants["bias"], (0, columns - oc)),
            "multiplier": np.pad(constants["multiplier"], (0, columns - oc)),
        }
        schedule = self._computation(inputs[0], (oh, ow, oc), packed, tile[0])
        block = dsp.matmul_block(*tile, depth) if tiled else None
        self._schedule(schedule, tile, inputs[0][3], block)
        arguments = (*(f"x{i}" for i in range(len(inputs))), *packed, "y")
        used = (block,) if block else ()
        overlap = {0: tile_overlap(inputs[0], (oh, ow, oc), tile[0], self.stride, self.padding)}
        if self.add:  # behind the last pixel of a tile, the pixels before it are still read
            overlap[1] = (tile[0] - 1) * oc
        return TirKernel(schedule.mod["main"], arguments, packed, used, overlap)

    def _pixels(self, oh: int, ow: int, p: int) -> Pair:
        """Outputs as lines of pixels that divide into tiles, if rows, columns or all of them do.

        A line is a row of the map; the whole map, as one line, where rows would waste pixels.
        """
        return (oh, ow) if ow % p == 0 else (1, oh * ow)

    def _computation(
        self, shape: Shape, output: Shape, packed: Mapping[str, np.ndarray], p: int
    ) -> Any:
        """Gather, product, requantization; rows and columns in multiples of the tile."""
        from tvm import te, tirx

        from tinytailor.compiler.kernels.bricks import tir

        oh, ow, oc = output
        lines, pixels = self._pixels(oh, ow, p)
        channels, rows = shape[3], -(-pixels // p) * p
        run = self.kernel[1] * channels
        depth = self.kernel[0] * run
        x = te.placeholder(shape, "int8", name="x")
        w, b, m = (te.placeholder(a.shape, a.dtype.name, name=r) for r, a in packed.items())
        border = tir.border(self.input_zero_point, "int16")
        at = tir.padded(x, self.padding, border, "int16")

        def gather(line: Any, pixel: Any, k: Any) -> Any:
            h, v = (line, pixel) if pixels == ow else (pixel // ow, pixel % ow)
            value = at(
                h * self.stride[0] + (k // run) * self.dilation[0],
                v * self.stride[1] + (k % run) // channels * self.dilation[1],
                k % channels,
            )
            if rows == pixels:
                return value
            return tirx.if_then_else(pixel < pixels, value, tir.const(0, "int16"))

        patch = te.compute((lines, rows, depth), gather, name="patch")
        k = te.reduce_axis((0, depth), "k")

        def product(h: Any, v: Any, o: Any) -> Any:
            weight = tir.narrow(lambda place: w[o, place], k, self.weight_bits)
            return te.sum(tir.int32(patch[h, v, k]) * weight, axis=k)

        acc = te.compute((lines, rows, w.shape[0]), product, name="acc")
        r = te.placeholder((lines, pixels, oc), "int8", name="r")

        def result(h: Any, v: Any, o: Any) -> Any:
            return tir.requantized(acc[h, v, o] + b[o], m[o], self.requant)

        if self.add is None:
            y = te.compute(
                (lines, pixels, oc), lambda h, v, o: result(h, v, o).astype("int8"), name="y"
            )
            return tir.schedule_of((x, w, b, m, y))
        add, term = self.add, te.compute((lines, rows, w.shape[0]), result, name="term")
        y = te.compute(
            (lines, pixels, oc),
            lambda h, v, o: add.expression(term[h, v, o], r[h, v, o]),
            name="y",
        )
        return tir.schedule_of((x, r, w, b, m, y))

    def _schedule(
        self, schedule: Any, tile: Pair, channels: int, block: dsp.Intrinsic | None
    ) -> None:
        """Tiles of pixels outside, tiles of channels inside; a row of patches per pixel tile."""
        from tinytailor.compiler.kernels.bricks import tir
        from tinytailor.compiler.kernels.isa import dsp

        _, pixel, channel = schedule.get_loops(schedule.get_sblock("y"))
        outer_pixel, inner_pixel = schedule.split(pixel, [None, tile[0]])
        outer_channel, inner_channel = schedule.split(channel, [None, tile[1]])
        schedule.reorder(outer_pixel, outer_channel, inner_pixel, inner_channel)
        product, patches = schedule.get_sblock("acc"), schedule.get_sblock("patch")
        if self.add:
            term = schedule.get_sblock("term")
            schedule.compute_at(term, outer_channel, preserve_unit_loops=True)
            for loop in schedule.get_loops(schedule.get_sblock("term"))[-2:]:
                schedule.unroll(loop)
        schedule.compute_at(product, outer_channel, preserve_unit_loops=True)
        schedule.compute_at(patches, outer_pixel, preserve_unit_loops=True)
        # Rows of the window outside the pixels of the tile: whether a row lies inside the map is
        # asked once for all of them. Runs are as long as they are contiguous.
        *_, pixels, depth = schedule.get_loops(patches)
        if self.dilation[1] == 1 and not (self.padding[1] or self.padding[3]):
            row, run = schedule.split(depth, [self.kernel[0], self.kernel[1] * channels])
            schedule.reorder(row, pixels, run)
        else:
            row, column, run = schedule.split(depth, [*self.kernel, channels])
            schedule.reorder(row, pixels, column, run)
        if block is None:
            schedule.decompose_reduction(product, schedule.get_loops(product)[-1])
            return
        schedule.storage_align(patches, 0, -2, dsp.GROUP, 0)
        tir.tensorize_tile(schedule, product, block.name, axes=2 if tile[0] == 1 else 3)
        schedule.unroll(inner_pixel)
        schedule.unroll(inner_channel)
