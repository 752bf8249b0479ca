# SPDX-License-Identifier: Apache-2.0
"""The larger or the smaller of two int8 tensors of one scale and zero point, broadcast as in numpy.

y = clamp(max(a, b))   or   clamp(min(a, b))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import Clamped, Inputs
from tinytailor.compiler.ops.broadcast import at, broadcast_shape, merged
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.constants import Constants
from tinytailor.compiler.ops.traits.keys import FLAG, HIGH, LOW
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, corners

if TYPE_CHECKING:
    from tinytailor.compiler.kernels.bricks.kernel import TirKernel


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

    def ranges(self, reads: Ranges, inputs: Inputs, constants: Constants) -> Range:
        return corners(self, reads, inputs, constants)

    def channels(self, inputs: Inputs, constants: Constants) -> Channels:
        return linked(*inputs, output=self.output_shape(*inputs))

    def lower(
        self, inputs: tuple[Shape, ...], constants: Mapping[str, np.ndarray], isa: str
    ) -> TirKernel:
        """One loop over the elements; each is read before it is written, over a whole input."""
        from tvm import te, tirx

        from tinytailor.compiler.kernels.bricks import tir
        from tinytailor.compiler.kernels.bricks.kernel import TirKernel

        shapes = merged(*inputs)
        a, b = (te.placeholder(s, "int8", name=n) for s, n in zip(shapes, "ab", strict=True))
        pick = tirx.max if self.largest else tirx.min

        def extreme(*place: Any) -> Any:
            value = pick(tir.int32(at(a, place)), tir.int32(at(b, place)))
            return tir.clamped(value, self.low, self.high).astype("int8")

        y = te.compute(broadcast_shape(self.kind, *shapes), extreme, name="y")
        schedule = tir.schedule_of((a, b, y))
        whole = self.output_shape(*inputs)
        overlap = {index: 0 for index, shape in enumerate(inputs) if shape == whole}
        return TirKernel(schedule.mod["main"], ("x0", "x1", "y"), {}, overlap=overlap)
