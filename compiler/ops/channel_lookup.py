# SPDX-License-Identifier: Apache-2.0
"""A function of single elements for each channel, int8 to int8.

    y[..., c] = table[c, x[..., c] + 128]

What a camera frame goes through before the first layer: mean and deviation of each color, a gamma.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.traits.channels import Channels, Fewer, linked
from tinytailor.compiler.ops.traits.constants import ConstantSpecs, tables
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.ranges import Range, Ranges

MOST = 16  # channels for which tables are worth their 256 bytes each


@dataclass(frozen=True, slots=True)
class ChannelLookup(Operator):
    kind: ClassVar[str] = "channel_lookup"

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        return x

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        return {"table": tables(inputs[0][-1])}

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        x, table = inputs[0], constants["table"]
        return table[np.arange(x.shape[-1]), x.astype(np.int64) + 128]

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        (x,), table = reads, constants["table"].astype(np.int64)
        parts = [row[a + 128 : b + 129] for row, a, b in zip(table, x.low, x.high, strict=True)]
        return Range(np.array([p.min() for p in parts]), np.array([p.max() for p in parts]))

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=inputs[0])

    def with_fewer_channels(
        self, fewer: Fewer, constants: Constants
    ) -> tuple[ChannelLookup, Constants]:
        return self, {"table": np.ascontiguousarray(constants["table"][fewer.stay])}

    @classmethod
    def examples(cls) -> Examples:
        return {
            "channel_lookup": (cls(), one_map(5, 4, 3)),
            "channel_lookup_row": (cls(), ((1, 6),)),
        }
