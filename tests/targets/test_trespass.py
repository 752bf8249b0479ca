# SPDX-License-Identifier: Apache-2.0
"""Memory that a call may not write stays as it was, or the call fails and the place is named."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tinytailor.targets import RUNNERS, Board, Buffer, Call, linked_for, run_on
from tinytailor.targets.errors import CheckError

PROGRAM = """
#include <stdint.h>
static uint8_t arena[52] __attribute__((aligned(8)));
static uint8_t other[8] __attribute__((aligned(64)));
/* x[1] is written at place x[0] of y, of the arena, or of x itself */
void output(int32_t *x, uint8_t *y);
void output(int32_t *x, uint8_t *y) { y[x[0]] = (uint8_t)x[1]; }
void scratch(int32_t *x, uint8_t *y);
void scratch(int32_t *x, uint8_t *y)
{
    ((volatile uint8_t *)arena)[x[0]] = (uint8_t)x[1];
    y[0] = arena[1] + other[0];
}
void input(int32_t *x, uint8_t *y);
void input(int32_t *x, uint8_t *y) { ((uint8_t *)x)[x[0]] = (uint8_t)x[1]; y[0] = 0; }
"""
FUNCTIONS = ("output", "scratch", "input")


def call(function: str, place: int, value: int) -> Call:
    """y has 20 bytes, x two words that must not be written."""
    x = Buffer(8, struct.pack("<2i", place, value), constant=True)
    return Call(function, (x, Buffer(20, read_back=True)))


@pytest.fixture(params=RUNNERS)
def run_program(
    request: pytest.FixtureRequest, board_of: Callable[[str], Board], build: Callable[..., Path]
) -> Callable[[list[Call]], None]:
    if request.param == "qemu" and shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not on PATH")
    board = board_of("cortex-m4")
    image = build(PROGRAM, linked_for(request.param, board), *FUNCTIONS)

    def run(calls: list[Call]) -> None:
        run_on(request.param, image, board, calls, count=False)

    return run


def test_writing_within_arena_and_output_is_fine(
    run_program: Callable[[list[Call]], None],
) -> None:
    run_program([call("scratch", 51, 1), call("output", 19, 2), call("output", 0, 3)] * 2)


@pytest.mark.parametrize(
    ("function", "place", "message"),
    [
        ("scratch", 52, r"0 bytes behind the end of arena"),
        ("scratch", 60, r"8 bytes behind the end of arena"),
        ("output", 20, "which belongs to nothing"),
        ("output", 35, "which belongs to nothing"),
        ("output", -1, "which belongs to nothing"),
        ("input", 5, "which belongs to nothing"),
    ],
)
def test_one_byte_past_the_end_is_a_check_error_that_names_the_place(
    function: str, place: int, message: str, run_program: Callable[[list[Call]], None]
) -> None:
    fine, wrong = call("output", 3, 7), call(function, place, 0x3C)
    with pytest.raises(CheckError, match=rf"call 1 \({function}\).*wrote the byte at.*{message}"):
        run_program([fine, wrong])
