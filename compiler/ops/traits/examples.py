# SPDX-License-Identifier: Apache-2.0
"""Operators and shapes that are tried wherever kernels run: see compiler/testing/operators.py.

They are chosen by what makes kernels differ: channels that do not divide by the lanes, borders,
strides, single pixels, windows of one column; and everything that shows in a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinytailor.compiler.ir import Shapes

Examples = Mapping[str, tuple[Any, Shapes]]  # name -> operator, shapes of its inputs


def one_map(height: int, width: int, channels: int) -> Shapes:
    return ((1, height, width, channels),)
