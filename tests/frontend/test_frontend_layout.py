# SPDX-License-Identifier: Apache-2.0
"""Any way in which axes of a reshaped tensor change places is found again from the places alone."""

from __future__ import annotations

import numpy as np
import pytest

from tinytailor.compiler.frontend.layout import factored
from tinytailor.compiler.frontend.report import Declined

pytestmark = [pytest.mark.tvm]


def test_the_shape_and_the_axes_of_a_transposition_are_found() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        shape = tuple(int(n) for n in rng.integers(1, 6, rng.integers(1, 6)))
        places = np.arange(np.prod(shape)).reshape(shape).transpose(rng.permutation(len(shape)))
        found, axes = factored(places.ravel())
        again = np.arange(places.size).reshape(found or (1,)).transpose(axes or (0,))
        np.testing.assert_array_equal(again.ravel(), places.ravel())


@pytest.mark.parametrize("places", [[1, 0, 2, 3], [0, 2, 1, 3, 5, 4], [3, 2, 1, 0], [0, 3, 1, 2]])
def test_other_orders_are_refused(places: list[int]) -> None:
    with pytest.raises(Declined, match="shuffled in memory"):
        factored(np.array(places))
