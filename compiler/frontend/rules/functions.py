# SPDX-License-Identifier: Apache-2.0
"""Functions of one real number by their Relax names, in float64: pointwise.py makes tables."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, pi, sqrt

import numpy as np

from tinytailor.compiler.frontend.relax_calls import Call

Unary = Callable[[np.ndarray, Call], np.ndarray]


def plain(function: Callable[[np.ndarray], np.ndarray]) -> Unary:
    return lambda real, call: function(real)


def error_function(real: np.ndarray) -> np.ndarray:
    return np.array([erf(number) for number in real])


def gelu(real: np.ndarray) -> np.ndarray:
    return 0.5 * real * (1 + error_function(real / sqrt(2)))


def gelu_tanh(real: np.ndarray) -> np.ndarray:
    return 0.5 * real * (1 + np.tanh(sqrt(2 / pi) * (real + 0.044715 * real**3)))


def sigmoid(real: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-real))


def leaky_relu(real: np.ndarray, call: Call) -> np.ndarray:
    return np.where(real < 0, real * np.float64(np.float32(call.attributes["alpha"])), real)


FUNCTIONS: dict[str, Unary] = {
    "relax.abs": plain(np.abs),
    "relax.ceil": plain(np.ceil),
    "relax.cos": plain(np.cos),
    "relax.erf": plain(error_function),
    "relax.exp": plain(np.exp),
    "relax.floor": plain(np.floor),
    "relax.log": plain(np.log),
    "relax.negative": plain(np.negative),
    "relax.nn.gelu": plain(gelu),
    "relax.nn.gelu_tanh": plain(gelu_tanh),
    "relax.nn.leakyrelu": leaky_relu,
    "relax.nn.silu": plain(lambda real: real * sigmoid(real)),
    "relax.round": plain(np.rint),
    "relax.rsqrt": plain(lambda real: 1 / np.sqrt(real)),
    "relax.sigmoid": plain(sigmoid),
    "relax.sign": plain(np.sign),
    "relax.sin": plain(np.sin),
    "relax.sqrt": plain(np.sqrt),
    "relax.square": plain(np.square),
    "relax.tanh": plain(np.tanh),
}
