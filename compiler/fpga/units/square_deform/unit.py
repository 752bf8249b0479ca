# SPDX-License-Identifier: Apache-2.0
"""Square deformable depthwise 3x3 convolution, W4A8. Its section of weight memory, and its cycles
for a map of P = H*W pixels of O words, which arrive at b words a cycle behind a lead of
L = min(8, H) rows:

[C/16] words of offset weights, 1 channel word, [C/16][9] words of weights, then [C] channel words
max(L*W*O/b + 3*P*O, P*O/b + 3*L*W*O)
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
from tinytailor.compiler.fpga.units.reading import Reader
from tinytailor.compiler.fpga.units.square_deform.golden import square_deform
from tinytailor.compiler.fpga.units.words import (
    CHANNEL_WORDS,
    channel_words,
    channels,
    nibbles,
    padded,
    requant_fields,
    requant_values,
)
from tinytailor.compiler.ir import Node, Shape
from tinytailor.compiler.ops.square_deform_dw import MAX_DILATION, SquareDeformDW
from tinytailor.targets.fpga import LANES, Fpga

DEPTH = 7
FORWARD_DEPTH = 2
LEAD_ROWS = 8
TAPS = 3  # a cycle
REQUANT_DSP = 2  # 24 x 32 bit multiplications take two blocks


class SquareDeform:
    """A ``units.base.Unit``."""

    name: ClassVar[str] = "deform"
    folder: ClassVar[str] = "square_deform"
    kind: ClassVar[str] = SquareDeformDW.kind
    expected: ClassVar[str] = SquareDeformDW.kind
    limits: ClassVar[str] = "weights of 4 bits, a row within the line buffer"
    stage: ClassVar[str] = "deformable"
    fields: ClassVar[tuple[str, ...]] = ("offset_shift", "deform_border", *requant_fields("deform"))
    reported: ClassVar[Mapping[str, int]] = {"deform": TAPS}
    sizes: ClassVar[Mapping[str, int]] = {"max_dilation": MAX_DILATION}
    choice: ClassVar[str] = "dilations"
    choices: ClassVar[int] = MAX_DILATION + 1

    def problems(self, node: Node, shape: Shape, fpga: Fpga) -> list[str]:
        op, constants, limit = _op(node), node.constants, fpga.engine.max_row_words
        _, height, width, count = shape
        words = width * blocks(count)
        offset = constants["offset_weight"].reshape(1, -1)
        weight = constants["weight"].reshape(9, -1).T
        problems = weight_problems("weight", weight) + weight_problems("offset_weight", offset)
        if words > limit:
            problems.append(
                f"a row of {width} pixels x {count} channels is {words} words of 16 bytes, "
                f"at most {limit} fit in the line buffer"
            )
        problems += iteration_problems(3 * height * words)
        problems += acc_problems("weight", weight, constants["bias"])
        problems += acc_problems("offset_weight", offset, constants["offset_bias"])
        problems += requant_problems("output", op.requant.shift, constants["multiplier"])
        return problems + requant_problems(
            "offset", op.offset_shift, constants["offset_multiplier"]
        )

    def board_problems(self, fpga: Fpga) -> list[str]:
        if fpga.engine.max_dilation >= MAX_DILATION:
            return []
        return [
            f"{fpga.engine.line_rows} line buffer rows reach dilation {fpga.engine.max_dilation}, "
            f"expected {MAX_DILATION}"
        ]

    def descriptor(self, node: Node) -> dict[str, int]:
        op = _op(node)
        own = {"offset_shift": op.offset_shift, "deform_border": op.input_zero_point}
        return {**own, **requant_values("deform", op.requant)}

    def weights(self, node: Node, step: Step) -> np.ndarray:
        constants = node.constants
        taps = padded(constants["weight"].reshape(9, -1)).reshape(9, step.out_blocks, LANES)
        return np.concatenate(
            [
                nibbles(padded(constants["offset_weight"]).reshape(-1, LANES)),
                channel_words(constants["offset_bias"], constants["offset_multiplier"]),
                nibbles(taps.transpose(1, 0, 2)),
                channels(constants["bias"], constants["multiplier"]),
            ]
        )

    def golden(self, x: np.ndarray, field: Mapping[str, int], reader: Reader) -> Golden:
        return square_deform(x, field, reader)

    def iterations(self, step: Step) -> dict[str, int]:
        words = step.pixels * step.out_blocks
        deform = _lead_words(step) + TAPS * words if self.name in step.by_unit else 0
        return {"offset": words, "deform": deform}

    def loaded(self, step: Step) -> int:
        return step.out_blocks + 1 + 9 * step.out_blocks + CHANNEL_WORDS * step.out_blocks

    def cycles(self, step: Step, arrival: float) -> int:
        words = step.pixels * step.out_blocks
        if self.name not in step.by_unit:
            return words + FORWARD_DEPTH
        lead, rate = _lead_words(step), words / max(words, arrival)
        return DEPTH + ceil(max(lead / rate + TAPS * words, words / rate + TAPS * lead))

    def area(self, fpga: Fpga) -> dict[str, float]:
        engine = fpga.engine
        line = engine.line_rows * ceil(8 * LANES / 72) * ceil(engine.max_row_words / 512)
        dilations = ceil(3 * engine.line_rows * engine.max_row_words / 36_864)
        return {
            "dsp": LANES * (TAPS + REQUANT_DSP) + LANES + REQUANT_DSP,
            "lut": 3500 + 600 * TAPS,
            "bram36": line + dilations,
        }


def _lead_words(step: Step) -> int:
    """Words that must arrive before the first pixel is computed."""
    _, height, width, _ = step.source.shape
    return min(LEAD_ROWS, height) * width * step.out_blocks


def _op(node: Node) -> SquareDeformDW:
    assert isinstance(node.op, SquareDeformDW)
    return node.op
