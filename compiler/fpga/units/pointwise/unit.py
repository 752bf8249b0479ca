# SPDX-License-Identifier: Apache-2.0
"""1x1 convolution, W4A8. Its section of weight memory, and its cycles for a map of P pixels:

[OC/16][IC/16][16 out] words of 16 four-bit weights (in), then [OC] channel words
P * IC/16 * OC/16
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import ClassVar

import numpy as np

from tinytailor.compiler.fpga.step import Step, blocks
from tinytailor.compiler.fpga.units.base import Golden
from tinytailor.compiler.fpga.units.checks import (
    acc_problems,
    iteration_problems,
    requant_problems,
    weight_problems,
)
from tinytailor.compiler.fpga.units.pointwise.golden import pointwise
from tinytailor.compiler.fpga.units.reading import Reader
from tinytailor.compiler.fpga.units.words import (
    CHANNEL_WORDS,
    channels,
    nibbles,
    requant_fields,
    requant_values,
)
from tinytailor.compiler.ir import Node, Shape
from tinytailor.compiler.narrow_weights import loaded
from tinytailor.compiler.ops.conv2d import Conv2d
from tinytailor.targets.fpga import LANES, Fpga

DEPTH = 10  # 5 + log2(16) + 1 stages
FORWARD_DEPTH = 2
REQUANT_DSP = 2  # 24 x 32 bit multiplications take two blocks


class Pointwise:
    """A ``units.base.Unit``."""

    name: ClassVar[str] = "pointwise"
    folder: ClassVar[str] = "pointwise"
    kind: ClassVar[str] = Conv2d.kind
    expected: ClassVar[str] = f"{Conv2d.kind} 1x1"
    limits: ClassVar[str] = "1x1, stride 1, no padding, weights of 4 bits"
    stage: ClassVar[str] = "1x1"
    fields: ClassVar[tuple[str, ...]] = requant_fields("pointwise")
    reported: ClassVar[Mapping[str, int]] = {"pointwise": 1}
    sizes: ClassVar[Mapping[str, int]] = {}
    choice: ClassVar[str] = ""
    choices: ClassVar[int] = 1

    def problems(self, node: Node, shape: Shape, fpga: Fpga) -> list[str]:
        op, constants, limit = _op(node), node.constants, fpga.engine.max_weight_tiles
        window = op.window
        if window.kernel != (1, 1) or window.stride != (1, 1) or window.bordered:
            rows, columns = window.kernel
            return [
                f"{op.kind} {rows}x{columns} with stride {window.stride} and padding "
                f"{window.padding}, expected 1x1 with stride (1, 1) and no padding"
            ]
        _, height, width, in_channels = shape
        tiles = blocks(in_channels) * blocks(op.out_channels)
        weight = weight_of(node, in_channels)
        problems = weight_problems("weight", weight)
        if tiles > limit:
            problems.append(
                f"{in_channels} x {op.out_channels} weights are {tiles} tiles of 16 x 16, "
                f"at most {limit} fit"
            )
        problems += iteration_problems(height * width * tiles)
        problems += acc_problems("weight", weight, constants["bias"])
        return problems + requant_problems("output", op.requant.shift, constants["multiplier"])

    def board_problems(self, fpga: Fpga) -> list[str]:
        return []

    def descriptor(self, node: Node) -> dict[str, int]:
        return requant_values("pointwise", _op(node).requant)

    def weights(self, node: Node, step: Step) -> np.ndarray:
        ob, ib = step.out_blocks, step.in_blocks
        weight = weight_of(node, step.source.shape[3])
        whole = np.zeros((ob * LANES, ib * LANES), np.int8)
        whole[: weight.shape[0], : weight.shape[1]] = weight
        tiles = whole.reshape(ob, LANES, ib, LANES).transpose(0, 2, 1, 3)
        words = channels(node.constants["bias"], node.constants["multiplier"])
        return np.concatenate([nibbles(tiles), words])

    def golden(self, x: np.ndarray, field: Mapping[str, int], reader: Reader) -> Golden:
        return pointwise(x, field, reader), None

    def iterations(self, step: Step) -> dict[str, int]:
        trips = step.pixels * step.in_blocks * step.out_blocks
        return {"pointwise": trips if self.name in step.by_unit else 0}

    def loaded(self, step: Step) -> int:
        return LANES * step.in_blocks * step.out_blocks + CHANNEL_WORDS * step.out_blocks

    def cycles(self, step: Step, arrival: float) -> int:
        if self.name not in step.by_unit:
            return step.pixels * step.in_blocks + FORWARD_DEPTH
        return step.pixels * step.in_blocks * step.out_blocks + DEPTH

    def area(self, fpga: Fpga) -> dict[str, float]:
        pi, po = fpga.engine.input_lanes, fpga.engine.output_lanes
        tiles = ceil(fpga.engine.max_weight_tiles / 512)
        return {
            "dsp": ceil(pi * po / 2) + REQUANT_DSP * po,
            "lut": 13.5 * po * (pi - 1) + 213 * po + 2.5 * pi * po,
            "bram36": ceil(ceil(4 * pi * po / 36) * tiles / 2),
        }


def weight_of(node: Node, in_channels: int) -> np.ndarray:
    """(out, in) int8, however many bits they are stored in."""
    op = _op(node)
    shape = (op.out_channels, *op.window.kernel, in_channels)
    weight = loaded(node.constants["weight"], shape, op.weight_bits, 1)
    return weight.reshape(op.out_channels, -1)


def _op(node: Node) -> Conv2d:
    assert isinstance(node.op, Conv2d)
    return node.op
