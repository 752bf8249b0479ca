# SPDX-License-Identifier: Apache-2.0
"""Elements of an int8 tensor by their place along some axes, for the axes 1 and 2 of a map:

    y[0, h, w, c] = x[0, index1[h], index2[w], c]

A nearest resize, a slice with steps, a reversal, a border that mirrors or repeats the edge and a
repetition are all of this kind; they differ in the tables ``index<axis>`` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.base import ConstantShapes
from tinytailor.targets.errors import InputError

MAX_SIZE = 1 << 15  # of an axis, so that places along it fit int16


@dataclass(frozen=True, slots=True)
class Take:
    """``axes``, rising and without the batch, get the ``sizes`` of their tables."""

    kind: ClassVar[str] = "take"

    axes: tuple[int, ...]
    sizes: tuple[int, ...]

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        rising = all(0 < a < len(x) for a in self.axes) and sorted(set(self.axes)) == [*self.axes]
        if not rising or len(self.axes) != len(self.sizes):
            raise InputError(f"take: axes {self.axes} of shape {x}, expected 1 to {len(x) - 1}")
        shape = list(x)
        for axis, size in zip(self.axes, self.sizes, strict=True):
            if not 1 <= size <= MAX_SIZE or x[axis] > MAX_SIZE:
                raise InputError(f"take: {size} of {x[axis]} elements, expected up to {MAX_SIZE}")
            shape[axis] = size
        return tuple(shape)

    def macs(self, *inputs: Shape) -> int:
        return 0

    def constant_shapes(self, *inputs: Shape) -> ConstantShapes:
        pairs = zip(self.axes, self.sizes, strict=True)
        return {f"index{axis}": ((size,), "int16") for axis, size in pairs}

    def key_attributes(self) -> dict[str, Any]:
        return {"axes": list(self.axes), "sizes": list(self.sizes)}

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Take:
        axes, sizes = (tuple(int(n) for n in attributes[key]) for key in ("axes", "sizes"))
        return cls(axes, sizes)

    def reference(
        self, inputs: tuple[np.ndarray, ...], constants: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        y = inputs[0]
        for axis in self.axes:
            y = y.take(constants[f"index{axis}"], axis=axis)
        return y
