# SPDX-License-Identifier: Apache-2.0
"""Search algorithms by name. Adding one: a new file here and a line in ``ALGORITHMS``."""

from __future__ import annotations

from tinytailor.nas.search.base import Algorithm, Problem, Proposal
from tinytailor.nas.search.dnas import dnas
from tinytailor.nas.search.random import random

ALGORITHMS: dict[str, Algorithm] = {
    "dnas": dnas,
    "random": random,
}

__all__ = ["ALGORITHMS", "Algorithm", "Problem", "Proposal"]
