# SPDX-License-Identifier: Apache-2.0
"""Strided views: an output written from front to back whose elements lie elsewhere in the input.

    y[i0, i1, ...] = x[start + i0 * stride0 + i1 * stride1 + ...]

A slice and a transposition are both of this kind. Axes that continue each other are merged first,
so that what is contiguous is copied in one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tinytailor.compiler.kernels.bricks.tir import Moves


@dataclass(frozen=True, slots=True)
class View:
    """``sizes`` of the output's axes and the ``strides`` they have in the input, in elements."""

    start: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    def merged(self) -> View:
        """The same elements with as few axes as possible."""
        axes: list[tuple[int, int]] = []
        for size, stride in zip(self.sizes, self.strides, strict=True):
            if size == 1:
                continue
            if axes and axes[-1][1] == size * stride:
                axes[-1] = (axes[-1][0] * size, stride)
            else:
                axes.append((size, stride))
        axes = axes or [(1, 1)]
        return View(self.start, tuple(n for n, _ in axes), tuple(s for _, s in axes))

    def places(self) -> np.ndarray:
        """The place in the input of each element of the output."""
        places = np.full((), self.start, np.int64)
        for size, stride in zip(self.sizes, self.strides, strict=True):
            places = places[..., None] + np.arange(size, dtype=np.int64) * stride
        return places.ravel()


def row_strides(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def body(view: View) -> Callable[[Moves], None]:
    """The statements that write the output, for ``tir.moves``."""
    whole = view.merged()
    steps = row_strides(whole.sizes)

    def write(moves: Moves, axis: int, to: Any, source: Any) -> None:
        size, stride = whole.sizes[axis], whole.strides[axis]
        if axis == len(whole.sizes) - 1:
            moves.copy(to, 0, source, size, stride)
            return
        with moves.repeat(size) as i:
            write(moves, axis + 1, to + i * steps[axis], source + i * stride)

    return lambda moves: write(moves, 0, 0, whole.start)


def overlap(view: View) -> Mapping[int, int]:
    """How much before the input the output must start to be written over it."""
    whole = view.merged()
    run = whole.sizes[-1] if whole.strides[-1] == 1 else 1
    return run_overlap(whole.places()[::run], run)


def run_overlap(reads: np.ndarray, run: int) -> Mapping[int, int]:
    """The same for runs of ``run`` elements, read at ``reads`` and written one after the other.

    A run is copied by memcpy, so its source must not have been reached when it is written either.
    """
    written = (np.arange(len(reads)) + 1) * run
    ahead = np.minimum.accumulate(reads[::-1])[::-1]
    return {0: max(0, int(np.max(written - ahead)))}
