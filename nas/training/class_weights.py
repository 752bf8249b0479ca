# SPDX-License-Identifier: Apache-2.0
"""Weights of the classes in the loss, for data in which some classes are rare.

    L = 1/N sum_i w[y_i] CE_i       N samples that are trained on, n_c of them of class c, K classes

    none        w_c = 1
    balanced    w_c = N / (K n_c): L is then the mean over classes of the mean loss of each, however
                rare it is (King and Zeng 2001, Logistic Regression in Rare Events Data;
                scikit-learn's class_weight="balanced")
    effective   w_c in proportion to (1 - b) / (1 - b^n_c), b = 0.999 (Cui et al. 2019,
                Class-Balanced Loss Based on Effective Number of Samples, arXiv 1901.05555): as
                balanced among classes far below 1 / (1 - b) samples, equal among those far above

All average to 1 over the samples, so the learning rate means the same. They come from the labels
that are trained on, never from those that judge. Another kind is a function and a line in
``CLASS_WEIGHTS``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

EFFECTIVE_B = 0.999

Weigh = Callable[[np.ndarray], np.ndarray]  # counts (K,), none of them 0, to weights up to a factor


def balanced(counts: np.ndarray) -> np.ndarray:
    return 1 / counts


def effective(counts: np.ndarray) -> np.ndarray:
    return (1 - EFFECTIVE_B) / (1 - EFFECTIVE_B**counts)


CLASS_WEIGHTS: dict[str, Weigh | None] = {
    "none": None,
    "balanced": balanced,
    "effective": effective,
}


def class_weights(kind: str, labels: np.ndarray, classes: int) -> Tensor | None:
    """Float32 weights (classes,) of ``kind`` for training on ``labels`` (N,), or None for none."""
    weigh = CLASS_WEIGHTS[kind]
    if weigh is None:
        return None
    counts = np.bincount(labels, minlength=classes)
    weights = weigh(counts)
    return torch.from_numpy(weights * counts.sum() / (weights * counts).sum()).float()
