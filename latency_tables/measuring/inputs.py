# SPDX-License-Identifier: Apache-2.0
"""What an operator is run on: the same random inputs for the same key, whoever runs it."""

from __future__ import annotations

import hashlib

import numpy as np

from tinytailor.compiler.opkey import OpKey

REPEATS = 2  # different inputs; equal counts show that no branch depends on data
KERNEL = "kernel_"  # and a number: the function of an operator in its image


def inputs_of(key: OpKey, repeat: int) -> np.random.Generator:
    """Where the inputs of one run come from, whatever the key is measured together with."""
    seed = int.from_bytes(hashlib.sha256(key.text.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, repeat])
