# SPDX-License-Identifier: Apache-2.0
"""Pipeline models on loops whose cycles are known by hand, and what runs and branches add up to."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from pipeline_programs import LOOPS, Loops

from tinytailor.targets import Board, Buffer, Call, default_runner, linked_for, run_on

pytestmark = [pytest.mark.emulator, pytest.mark.qemu, pytest.mark.tvm]

FEW, MANY = 100, 200


def call(name: str, rounds: int) -> Call:
    return Call(name, (Buffer(64, struct.pack("<16i", rounds, *[0] * 15)),))


@pytest.mark.parametrize("loops", LOOPS, ids=lambda loops: f"{loops.core}-{loops.rows[0][0]}")
def test_one_more_round_costs_what_the_rules_say(
    loops: Loops, board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    board = board_of(loops.core)
    runner = default_runner(board)
    if runner == "qemu" and shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not on PATH")
    names = [name for name, _, _ in loops.rows]
    image = build(loops.text(), linked_for(runner, board), *names)
    calls = [call(name, rounds) for name in names for rounds in (FEW, MANY)]
    results = run_on(runner, image, board, calls)
    cycles = [result.counts[""].core_cycles or 0 for result in results]
    more = [many - few for few, many in zip(cycles[::2], cycles[1::2], strict=True)]
    found = dict(zip(names, more, strict=True))
    assert found == {name: (MANY - FEW) * each for name, _, each in loops.rows}
