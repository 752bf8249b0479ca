# SPDX-License-Identifier: Apache-2.0
"""Keys that are quick to measure, and a process that measures them."""

from __future__ import annotations

import sys
from pathlib import Path

from tinytailor.compiler import OpKey, make_key
from tinytailor.compiler.ops import Add, AveragePool2d, Conv2d, Dense, DepthwiseConv2d, Softmax
from tinytailor.latency_tables.measure import measure
from tinytailor.targets import Board, cross_toolchain, load_target

BOARD = "nucleo-f446re"


def board() -> Board:
    target = load_target(BOARD)
    assert isinstance(target, Board)
    return target


def one_of_each() -> tuple[OpKey, ...]:
    """A small operator of every kind."""
    image = (1, 6, 6, 8)
    return (
        make_key(Conv2d(12, (3, 3), padding=(1, 1, 1, 1)), (image,), "dsp"),
        make_key(DepthwiseConv2d((3, 3), (2, 2)), (image,), "dsp"),
        make_key(AveragePool2d((6, 6)), (image,), "dsp"),
        make_key(Add(), (image, image), "dsp"),
        make_key(Dense(5), ((1, 24),), "dsp"),
        make_key(Softmax(), ((1, 5),), "dsp"),
    )


def many() -> tuple[OpKey, ...]:
    """Enough dense layers for several batches."""
    return tuple(make_key(Dense(n), ((1, 16),), "dsp") for n in range(1, 61))


def too_large() -> OpKey:
    """Its input alone is more than the board's RAM."""
    return make_key(AveragePool2d((2, 2), (2, 2)), ((1, 400, 400, 1),), "dsp")


if __name__ == "__main__":
    measure(many(), board(), cross_toolchain(), Path(sys.argv[1]), workers=int(sys.argv[2]))
