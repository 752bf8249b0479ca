# SPDX-License-Identifier: Apache-2.0
"""A rectangular part of an int8 tensor, quantized like it: y[i, j, ...] = x[begin0 + i, ...]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import ConstantShapes
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Slice:
    """``begin`` and ``size`` for every axis of the NHWC map or of the row, the batch included."""

    kind: ClassVar[str] = "slice"

    begin: tuple[int, ...]
    size: tuple[int, ...]

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        fits = len(x) == len(self.begin) == len(self.size) and all(
            begin >= 0 and 1 <= size <= whole - begin
            for begin, size, whole in zip(self.begin, self.size, x, strict=True)
        )
        if not fits or self.size[0] != x[0]:
            raise InputError(
                f"slice: {self.size} from {self.begin} does not lie within shape {x}, whole batch"
            )
        return self.size

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        return {}

    def key_attributes(self) -> dict[str, Any]:
        return {"begin": list(self.begin), "size": list(self.size)}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Slice:
        begin, size = (tuple(int(n) for n in attributes[key]) for key in ("begin", "size"))
        return cls(begin, size)

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        parts = zip(self.begin[1:], self.size[1:], strict=True)
        return inputs[0][(slice(None), *(slice(b, b + n) for b, n in parts))]
