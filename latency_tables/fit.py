# SPDX-License-Identifier: Apache-2.0
"""Non-negative least squares of relative error, and its cross-validation.

    minimize  sum_i ((f_i + sum_j x_j A_ij) / y_i - 1)^2     over x >= 0

Costs of operators span three decades and a user thinks of them in percent, so every row counts the
same in percent. Costs add up, so no coefficient is negative. f is a known part of each cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

LEAVE_ONE_OUT = 30  # up to so many rows each is left out alone, above them a tenth at a time
FOLDS = 10

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Errors:
    """Absolute relative errors, as fractions: 0.02 is 2 %."""

    mean: float
    p90: float
    worst: float

    @classmethod
    def of(cls, errors: Array) -> Errors:
        size = np.abs(errors)
        return cls(float(size.mean()), float(np.quantile(size, 0.9)), float(size.max()))

    def __str__(self) -> str:
        return f"mean {100 * self.mean:.1f} %, 90th percentile {100 * self.p90:.1f} %"


def fit(columns: Array, values: Array, known: Array | float = 0.0) -> Array:
    """Coefficients (p,) for columns (n, p) and positive values (n,) with a ``known`` part."""
    return least_squares(columns / values[:, None], (values - known) / values)


def least_squares(columns: Array, values: Array) -> Array:
    """Non-negative least squares of absolute error; columns may differ in scale by any factor."""
    length = np.linalg.norm(columns, axis=0)
    length[length == 0] = 1.0  # such a column explains nothing and gets 0
    coefficients, _ = nnls(columns / length, values)
    return np.asarray(coefficients / length)


def relative_errors(
    columns: Array, coefficients: Array, values: Array, known: Array | float = 0.0
) -> Array:
    """Predicted / true - 1 of each row."""
    return np.asarray((columns @ coefficients + known) / values - 1)


def splits(count: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    """(rows to fit, rows to test), each row tested once."""
    if count <= LEAVE_ONE_OUT:
        parts = [np.array([i]) for i in range(count)]
    else:
        parts = [np.sort(part) for part in np.array_split(rng.permutation(count), FOLDS)]
    for part in parts:
        yield np.setdiff1d(np.arange(count), part), part


def cross_validated(columns: Array, values: Array, rng: np.random.Generator) -> Array:
    """Relative error of each row, predicted by a fit that did not see it."""
    errors = np.empty(len(values))
    for train, test in splits(len(values), rng):
        coefficients = fit(columns[train], values[train])
        errors[test] = relative_errors(columns[test], coefficients, values[test])
    return errors


def unexplained(columns: Array, values: Array) -> Array:
    """For each column, the share of it (0 to 1) that no sum of the other columns gives.

    Where it is near 0 the coefficient of the column cannot be told from those of the others.
    """
    scaled = columns / values[:, None]
    shares = np.zeros(columns.shape[1])
    for j in range(columns.shape[1]):
        column, others = scaled[:, j], np.delete(scaled, j, axis=1)
        if np.linalg.norm(column) == 0:
            continue
        length = np.linalg.norm(others, axis=0)
        others = others / np.where(length == 0, 1.0, length)
        rest = column - others @ np.linalg.lstsq(others, column, rcond=None)[0]
        shares[j] = np.linalg.norm(rest) / np.linalg.norm(column)
    return shares
