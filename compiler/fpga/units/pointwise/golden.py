# SPDX-License-Identifier: Apache-2.0
"""What the unit must compute from packed words, in numpy: a matrix product for each pixel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinytailor.compiler.fpga.units.reading import Reader, requantize
from tinytailor.targets.fpga import LANES


def pointwise(x: np.ndarray, field: Mapping[str, int], reader: Reader) -> np.ndarray:
    ib, ob = field["in_blocks"], field["out_blocks"]
    tiles = reader.weights(ob * ib * LANES).reshape(ob, ib, LANES, LANES)
    bias, multiplier = reader.channels(ob * LANES)
    # 24-bit sums are exact in float64, and its matrix product is a fast one.
    acc = np.zeros((*x.shape[:3], ob * LANES))
    for i in range(ib):
        part = x[..., i * LANES : (i + 1) * LANES].astype(np.float64)
        acc += part @ tiles[:, i].reshape(-1, LANES).T.astype(np.float64)
    return requantize(acc.astype(np.int64) + bias, multiplier, field, "pointwise")
