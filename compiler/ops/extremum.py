# SPDX-License-Identifier: Apache-2.0
"""The larger or the smaller of two int8 tensors of one scale and zero point, broadcast as in numpy.

y = clamp(max(a, b))   or   clamp(min(a, b))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import ConstantShapes, clamp_attributes, example_clamp
from tinytailor.compiler.ops.broadcast import broadcast_shape


@dataclass(frozen=True, slots=True)
class Extremum:
    kind: ClassVar[str] = "extremum"

    largest: bool
    low: int = -128
    high: int = 127

    def output_shape(self, *inputs: Shape) -> Shape:
        return broadcast_shape(self.kind, *inputs)

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {}

    def key_attributes(self) -> dict[str, Any]:
        return {"largest": self.largest, **clamp_attributes(self.low, self.high)}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Extremum:
        return cls(bool(attributes["largest"]), *example_clamp(attributes))

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        pick = np.maximum if self.largest else np.minimum
        return np.clip(pick(*inputs), self.low, self.high).astype(np.int8)
