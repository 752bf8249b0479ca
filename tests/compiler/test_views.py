# SPDX-License-Identifier: Apache-2.0
"""Outputs that are copied run by run over their own input, at the distance that is declared."""

from __future__ import annotations

import numpy as np
import pytest

from tinytailor.compiler.kernels.bricks.views import View, overlap, row_strides

pytestmark = [pytest.mark.tvm]


def random_view(rng: np.random.Generator) -> tuple[View, int]:
    """Part of a tensor with its axes in any order, and how many elements the tensor has."""
    shape = rng.integers(1, 6, rng.integers(1, 5))
    begin = rng.integers(0, shape)
    size = rng.integers(1, shape - begin + 1)
    strides = np.array(row_strides(shape.tolist()))
    axes = rng.permutation(len(shape)) if rng.integers(2) else np.arange(len(shape))
    start = int((begin * strides).sum())
    view = View(start, tuple(map(int, size[axes])), tuple(map(int, strides[axes])))
    return view, int(shape.prod())


def copied(view: View, elements: int, distance: int) -> np.ndarray:
    """The output, written into memory that begins ``distance`` bytes before the input's."""
    whole = view.merged()
    run = whole.sizes[-1] if whole.strides[-1] == 1 else 1
    places = view.places()
    memory = np.concatenate([np.full(distance, -1), np.arange(elements), np.full(len(places), -1)])
    for to in range(0, len(places), run):
        source = distance + places[to]
        assert run == 1 or abs(source - to) >= run, "memcpy over its own source"
        memory[to : to + run] = memory[source : source + run]
    return memory[: len(places)]


def test_merging_axes_changes_no_element() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        view, _ = random_view(rng)
        np.testing.assert_array_equal(view.merged().places(), view.places())


def test_an_output_may_be_written_over_its_input_at_the_declared_distance() -> None:
    rng = np.random.default_rng(1)
    tight = 0
    for _ in range(300):
        view, elements = random_view(rng)
        distance = overlap(view)[0]
        np.testing.assert_array_equal(copied(view, elements, distance), view.places())
        tight += distance < elements
    assert tight > 100
