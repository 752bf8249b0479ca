# SPDX-License-Identifier: Apache-2.0
"""Average pooling, int8, NHWC, no padding, output quantized like the input.

    y = clamp((sum +- n/2) / n)   rounded half away from zero, n = window size, as TFLite does.

Input and output share scale and zero point, so the mean of the integers is the integer of the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import ConstantShapes
from tinytailor.compiler.ops.geometry import Pair, output_size, pair, windows

if TYPE_CHECKING:
    from tinytailor.compiler.mcu.kernel import TirKernel

NO_PADDING = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class AveragePool2d:
    kind: ClassVar[str] = "average_pool2d"

    kernel: Pair
    stride: Pair = (1, 1)
    low: int = -128
    high: int = 127

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        size = output_size(self.kind, x, self.kernel, self.stride, NO_PADDING, (1, 1))
        return (1, *size, x[3])

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {}

    def key_attributes(self) -> dict[str, Any]:
        return {"kernel": list(self.kernel), "stride": list(self.stride)}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> AveragePool2d:
        return cls(pair(attributes["kernel"]), pair(attributes["stride"]))

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        view = windows(inputs[0], self.kernel, self.stride, NO_PADDING, (1, 1), 0)
        total = view.astype(np.int64).sum(axis=(3, 4))
        count = self.kernel[0] * self.kernel[1]
        magnitude = (np.abs(total) + count // 2) // count
        return np.clip(np.sign(total) * magnitude, self.low, self.high).astype(np.int8)

    def lower(
        self, inputs: tuple[Shape, ...], constants: Mapping[str, np.ndarray], isa: str
    ) -> TirKernel:
        """One sum per output element. Outputs never catch up with inputs still to be read."""
        from tvm import te, tirx

        from tinytailor.compiler.mcu import tir
        from tinytailor.compiler.mcu.kernel import TirKernel

        _, oh, ow, channels = self.output_shape(*inputs)
        (kh, kw), (sh, sw) = self.kernel, self.stride
        count = tir.const(kh * kw)
        x = te.placeholder(inputs[0], "int8", name="x")
        i, j = te.reduce_axis((0, kh), "i"), te.reduce_axis((0, kw), "j")
        acc = te.compute(
            (oh, ow, channels),
            lambda h, v, c: te.sum(tir.int32(x[0, h * sh + i, v * sw + j, c]), axis=[i, j]),
            name="acc",
        )

        def mean(h: Any, v: Any, c: Any) -> Any:
            half = tir.const(kh * kw // 2)
            away = tirx.Select(acc[h, v, c] < 0, acc[h, v, c] - half, acc[h, v, c] + half)
            return tir.clamp(tirx.truncdiv(away, count), self.low, self.high).astype("int8")

        y = te.compute((oh, ow, channels), mean, name="y")
        schedule = tir.schedule_of((x, y))
        loops = schedule.get_loops(schedule.get_sblock("y"))
        total = schedule.get_sblock("acc")
        schedule.compute_at(total, loops[-1], preserve_unit_loops=True)
        schedule.decompose_reduction(total, schedule.get_loops(total)[-2])
        return TirKernel(schedule.mod["main"], ("x0", "y"), {}, overlap={0: 0})
