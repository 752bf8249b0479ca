# SPDX-License-Identifier: Apache-2.0
"""Code that is fetched again: by hand for loops of known size, equal on the emulator and QEMU."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tinytailor.targets import (
    FETCH_CACHES,
    Board,
    Buffer,
    Call,
    Counts,
    emulator,
    linked_for,
    qemu,
)
from tinytailor.targets.image import load_image

pytestmark = [pytest.mark.emulator, pytest.mark.qemu]

ROUNDS = 7
PROGRAM = """
#include <stdint.h>
#define CODE(name, text) \\
    void name(int32_t *x); \\
    __attribute__((naked, aligned(16))) void name(int32_t *x) \\
    { __asm volatile(".syntax unified\\n ldr r1, [r0]\\n" text); }
#define WIDE(n) ".rept " #n "\\n nop.w\\n .endr\\n"
#define LOOP(text) ".p2align 4\\n 1:\\n" text "subs r1, r1, #1\\n bne.w 1b\\n"

CODE(straight, WIDE(3000) "bx lr")
CODE(loop_192, LOOP(WIDE(46) "nop\\n") "bx lr")                /* 2 + 46 * 4 + 2 + 4 bytes */
CODE(loop_2048, LOOP(WIDE(510) "nop\\n") "bx lr")
CODE(loop_2064, LOOP(WIDE(514) "nop\\n") "bx lr")
CODE(nested, LOOP("movs r2, #9\\n nop.w\\n nop.w\\n nop\\n nop\\n nop\\n" /* 16 bytes */
                  "2:\\n" WIDE(14) "nop\\n nop\\n subs r2, r2, #1\\n bne 2b\\n"   /* 64 bytes */
                  WIDE(490) "nop\\n") "bx lr")
CODE(called, WIDE(383) "bx lr\\n nop")                         /* 4 + 1534 + 4 bytes */
CODE(calls, "push {r0, lr}\\n" LOOP("ldr r0, [sp]\\n mov r3, r1\\n bl called\\n mov r1, r3\\n"
                                    WIDE(61) "nop\\n") "pop {r0, pc}")  /* 262 bytes */
"""
ALL = [line[5 : line.index(",")] for line in PROGRAM.splitlines() if line[:5] == "CODE("]


def bytes_again(board: Board, elf: Path, runners: list[str], name: str) -> dict[str, Counts]:
    """What each runner counted for ROUNDS rounds, the same on all."""
    call = Call(name, (Buffer(4, struct.pack("<i", ROUNDS)),))
    runs = {"emulator": emulator.run, "qemu": qemu.run}
    regions = {"called": "called"}
    found = [runs[runner](elf, board, [call], regions=regions)[0].counts for runner in runners]
    assert all(counts == found[0] for counts in found)
    return dict(found[0])


@pytest.fixture(scope="module", params=["cortex-m3", "cortex-m4", "cortex-m33"])
def counted(
    request: pytest.FixtureRequest,
    board_of: Callable[[str], Board],
    build: Callable[..., Path],
) -> Callable[[str], dict[str, Counts]]:
    board = linked_for("qemu", board_of(request.param))
    assert isinstance(board, Board)
    elf = build(PROGRAM, board, *ALL)
    runners = ["emulator", *(["qemu"] if shutil.which("qemu-system-arm") else [])]
    return lambda name: bytes_again(board, elf, runners, name)


def test_code_that_runs_once_and_loops_that_every_cache_holds_are_not_fetched_again(
    counted: Callable[[str], dict[str, Counts]],
) -> None:
    assert counted("straight")[""].fetched == ()
    assert counted("loop_192")[""].fetched == ()


def test_a_loop_is_fetched_again_in_each_round_by_caches_that_are_smaller(
    counted: Callable[[str], dict[str, Counts]],
) -> None:
    again = 2048 * (ROUNDS - 1)
    assert FETCH_CACHES[:4] == (256, 512, 1024, 2048)
    assert counted("loop_2048")[""].fetched == (again,) * 3
    again = 2064 * (ROUNDS - 1)
    assert counted("loop_2064")[""].fetched == (again,) * 4


def test_a_loop_within_a_larger_one_is_fetched_once_for_each_round_of_the_larger_one(
    counted: Callable[[str], dict[str, Counts]],
) -> None:
    counts = counted("nested")[""]
    assert counts.instructions > ROUNDS * 9 * 17
    assert counts.fetched == (2048 * (ROUNDS - 1),) * 3


def test_what_a_loop_calls_belongs_to_it_and_counts_for_its_own_region(
    counted: Callable[[str], dict[str, Counts]],
) -> None:
    counts = counted("calls")
    own, called = counts[""].fetched, counts["called"].fetched
    assert called == (1536 * (ROUNDS - 1),) * 3
    # 17 lines of 16 bytes: the first holds the call, so it comes back from there, too, and its
    # next round begins only 17 lines later
    returned, others, first = 16 * ROUNDS, 16 * 16 * (ROUNDS - 1), 16 * (ROUNDS - 1)
    assert own == (returned + others + first, returned + others, returned + others)


def test_where_the_linker_puts_a_function_does_not_change_what_is_fetched_again(
    board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    board = board_of("cortex-m4")
    places, again = set(), set()
    for words in range(4):
        text = PROGRAM.replace(", aligned(16)", "").replace(".p2align 4", "")
        before, found, after = text.partition("CODE(straight")
        pad = f'CODE(pad, WIDE({words}) "bx lr")\n'
        elf = build(before + pad + found + after, board, "pad", *ALL)
        places.add(load_image(elf).sizes.symbols["nested"][0] % 16)
        call = Call("nested", (Buffer(4, struct.pack("<i", ROUNDS)),))
        again.add(emulator.run(elf, board, [call])[0].counts[""].fetched)
    assert len(places) == 4
    assert len(again) == 1
