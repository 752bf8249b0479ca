# SPDX-License-Identifier: Apache-2.0
"""The larger or the smaller of two int8 tensors of one scale and zero point, broadcast as in numpy.

y = clamp(max(a, b))   or   clamp(min(a, b))
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Clamped
from tinytailor.compiler.ops.broadcast import broadcast_shape
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.examples import Examples
from tinytailor.compiler.ops.traits.keys import FLAG, HIGH, LOW
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, corners


@dataclass(frozen=True, slots=True)
class Extremum(Clamped):
    kind: ClassVar[str] = "extremum"

    largest: bool = field(metadata=FLAG)
    low: int = field(default=-128, metadata=LOW)
    high: int = field(default=127, metadata=HIGH)

    def output_shape(self, *inputs: Shape) -> Shape:
        return broadcast_shape(self.kind, *inputs)

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        pick = np.maximum if self.largest else np.minimum
        return np.clip(pick(*inputs), self.low, self.high).astype(np.int8)

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        return corners(self, reads, inputs, constants)

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return linked(*inputs, output=self.output_shape(*inputs))

    @classmethod
    def examples(cls) -> Examples:
        return {
            "maximum": (cls(True), ((1, 4, 5, 7),) * 2),
            "minimum_channels": (cls(False), ((1, 4, 5, 7), (1, 1, 1, 7))),
            "minimum_clamped": (
                cls.from_key({"largest": False, "clamped": True}),
                ((1, 6, 4, 13),) * 2,
            ),
        }
