# SPDX-License-Identifier: Apache-2.0
"""Keys that are quick to measure, and processes that measure them and are killed at it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

from tinytailor.compiler import OpKey, make_key
from tinytailor.compiler.ops import Add, AveragePool2d, Conv2d, Dense, DepthwiseConv2d, Softmax
from tinytailor.compiler.ops.window import Window
from tinytailor.latency_tables.measuring.measure import measure
from tinytailor.latency_tables.measuring.pool import hide_torch
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
        make_key(Conv2d(12, Window((3, 3), padding=(1, 1, 1, 1))), (image,), "dsp"),
        make_key(DepthwiseConv2d(Window((3, 3), (2, 2))), (image,), "dsp"),
        make_key(AveragePool2d(Window((6, 6))), (image,), "dsp"),
        make_key(Add(), (image, image), "dsp"),
        make_key(Dense(5), ((1, 24),), "dsp"),
        make_key(Softmax(), ((1, 5),), "dsp"),
    )


def many() -> tuple[OpKey, ...]:
    """Enough dense layers for several batches."""
    return tuple(make_key(Dense(n), ((1, 16),), "dsp") for n in range(1, 61))


def too_large() -> OpKey:
    """Its input alone is more than the RAM that operators are counted in."""
    return make_key(AveragePool2d(Window((2, 2), (2, 2))), ((1, 1600, 1600, 1),), "dsp")


def few() -> tuple[OpKey, ...]:
    """Dense layers for the three batches of ``started``."""
    return many()[:6]


def started(path: Path, kill_at_sync: int = 0) -> BaseProcess:
    """A process that measures ``few()`` into ``path``, in small batches.

    With ``kill_at_sync`` n it is killed inside its n-th write to the disk. It is forked from a
    server that has loaded TVM, so that it takes a second and not five.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["measuring_server"])
    process = context.Process(target=_measure_few, args=(path, kill_at_sync))
    process.start()
    return process


def _measure_few(path: Path, kill_at_sync: int) -> None:
    from tinytailor.latency_tables.measuring import batches

    batches.MOST_KERNELS = 2
    syncs = 0

    def sync(file: int) -> None:
        nonlocal syncs
        syncs += 1
        if syncs == kill_at_sync:
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = sync
    measure(few(), board(), cross_toolchain(), path)


if __name__ == "__main__":
    hide_torch()
    measure(many(), board(), cross_toolchain(), Path(sys.argv[1]), workers=int(sys.argv[2]))
