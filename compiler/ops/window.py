# SPDX-License-Identifier: Apache-2.0
"""A window that slides over an NHWC map: its record, the arithmetic of shapes, and what it sees.

    output = (input + padding before and behind - span) / stride + 1,  span = d * (kernel - 1) + 1

Rows and columns are apart in everything; a time series is a map of one column.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields, replace

import numpy as np

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.traits.keys import Attributes, Metadata, exactly, in_key
from tinytailor.targets.errors import InputError

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]  # top, left, bottom, right (TVM's order)
ONES = (1, 1)
NO_PADDING = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Window:
    kernel: Pair
    stride: Pair = ONES
    padding: Padding = NO_PADDING
    dilation: Pair = ONES

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def span(self) -> Pair:
        """Rows and columns from the first tap to the last."""
        rows, columns = (d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        return rows, columns

    @property
    def bordered(self) -> bool:
        """Whether it reads beside the map."""
        return any(self.padding)

    def output_size(self, kind: str, x: Shape) -> Pair:
        """(height, width) of the output, or InputError when the window does not fit."""
        check_map(kind, x)
        height, width = (
            (x[1 + axis] + self.padding[axis] + self.padding[axis + 2] - self.span[axis])
            // self.stride[axis]
            + 1
            for axis in (0, 1)
        )
        if height < 1 or width < 1:
            raise InputError(
                f"{kind}: kernel {self.kernel} with dilation {self.dilation} is larger than the "
                f"padded input {x[1:3]} + padding {self.padding}"
            )
        return height, width

    def starts(self, output: Pair) -> tuple[np.ndarray, np.ndarray]:
        """Rows (OH, KH) and columns (OW, KW) of the map under each tap of each window."""
        rows, columns = (
            np.arange(size)[:, None] * self.stride[axis]
            + np.arange(self.kernel[axis])[None, :] * self.dilation[axis]
            - self.padding[axis]
            for axis, size in enumerate(output)
        )
        return rows, columns

    def over(self, x: np.ndarray, fill: int) -> np.ndarray:
        """(N, H, W, C) to (N, OH, OW, KH, KW, C): what each window sees, ``fill`` at the border."""
        top, left, bottom, right = self.padding
        around = ((0, 0), (top, bottom), (left, right), (0, 0))
        padded = np.pad(x, around, constant_values=x.dtype.type(fill))
        rows, columns = self.starts(self.output_size("windows", (1, *x.shape[1:])))
        rows, columns = rows + top, columns + left
        return padded[:, rows[:, None, :, None], columns[None, :, None, :], :]

    def padded(self, by: Padding) -> Window:
        """With so much more border."""
        top, left, bottom, right = (a + b for a, b in zip(self.padding, by, strict=True))
        return replace(self, padding=(top, left, bottom, right))


def check_map(kind: str, x: Shape) -> None:
    if len(x) != 4 or x[0] != 1:
        raise InputError(f"{kind}: input shape {x}, expected (1, height, width, channels)")


def sampled(x: np.ndarray, rows: np.ndarray, columns: np.ndarray, fill: int) -> np.ndarray:
    """The pixels of (N, H, W, C) at places (N, ...): (N, ..., C), ``fill`` outside the map."""
    height, width = x.shape[1:3]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    image = np.arange(len(x)).reshape(-1, *(1,) * (rows.ndim - 1))
    pixels = x[image, np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    return np.where(inside[..., None], pixels, x.dtype.type(fill))


_READ = {"kernel": exactly(2), "stride": exactly(2), "padding": exactly(4), "dilation": exactly(2)}


def in_window_key(optional: Collection[str] = ()) -> Metadata:
    """Every part of a window under its own name; an ``optional`` one unless it is the default."""

    def write(_: str, window: Window) -> Attributes:
        parts = {part.name: getattr(window, part.name) for part in fields(window)}
        default = {part.name: part.default for part in fields(window)}
        return {
            name: list(value)
            for name, value in parts.items()
            if name not in optional or value != default[name]
        }

    def read(_: str, attributes: Attributes) -> Window:
        there = [name for name in _READ if name not in optional or name in attributes]
        parts = {name: _READ[name](attributes[name]) for name in there}
        return Window(**parts)  # type: ignore[arg-type]

    return in_key(write, read)


WINDOW = in_window_key()
