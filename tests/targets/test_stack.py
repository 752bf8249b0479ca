# SPDX-License-Identifier: Apache-2.0
"""Worst-case stack: equal to what gcc says of its frames, and an error where it has no bound."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tinytailor.targets import build_image, cross_flags, cross_toolchain, load_target
from tinytailor.targets.errors import InputError, ToolError
from tinytailor.targets.stack import StackUse, worst_stack

pytestmark = [pytest.mark.emulator]

BOARDS = ("nucleo-g0b1re", "nucleo-f446re", "nucleo-l552ze-q")
SOURCE = """\
#include <stdint.h>
#include <string.h>
#define NOINLINE __attribute__((noinline, noclone))

NOINLINE int leaf(int a) { return a * 3 + 1; }
NOINLINE int pushes(int a, int b) { int c = leaf(a); return leaf(b + c) + a + c; }
NOINLINE int tail(int a, int b) { return pushes(b, a); }
NOINLINE int frame(int a)
{
    volatile int buffer[40];
    for (int i = 0; i < 40; ++i) {
        buffer[i] = a + i;
    }
    return leaf(buffer[a & 31]) + buffer[3];
}
NOINLINE int large(int a)
{
    volatile int buffer[900];
    buffer[a & 511] = a;
    return pushes(buffer[3], a) + buffer[9];
}
NOINLINE int early(int a)
{
    if (a < 0) {
        return a;
    }
    volatile char buffer[64];
    buffer[a & 63] = 1;
    return buffer[3] + tail(a, 2) + large(a);
}
NOINLINE int chooses(int a, int b)
{
    switch (a) {
    case 0: return frame(b);
    case 1: return pushes(b, a);
    case 2: return leaf(b) + 2;
    case 3: return tail(b, b) * 5;
    case 4: return b / a;
    case 5: return leaf(b + 1) + frame(b);
    default: return b;
    }
}
NOINLINE int64_t divides(int64_t a, int64_t b) { return a / b + 1; }
NOINLINE void copies(char *to, const char *from, int n) { memcpy(to, from, (size_t)n * 3u); }
NOINLINE int six(int a, int b, int c, int d, int e, int f) { return a + b * c + d + e * f; }
NOINLINE int passes(int a) { return six(a, a, a, a, a, a + 1) + 1; }
int all(int a, char *p)
{
    copies(p, p + 64, a);
    return early(a) + chooses(a, a) + (int)divides(a, a + 1) + passes(a);
}

NOINLINE int stores(int a)
{
    volatile int buffer[6];
    buffer[a & 3] = a;
#if __ARM_ARCH >= 7 /* several words into the frame, which stays where it is: clang does that */
    __asm__ volatile("stm sp, {r1, r2}" : : : "memory");
#endif
    return buffer[a & 1] + leaf(a);
}

NOINLINE int recursive(int a) { return a < 2 ? 1 : recursive(a - 1) * recursive(a - 2) + leaf(a); }
NOINLINE int sized(int n)
{
    volatile char buffer[n];
    buffer[n / 2] = 1;
    return buffer[0] + leaf(n);
}
NOINLINE int pointer(int (*f)(int), int a) { return f(a) + 1; }
NOINLINE int hands_over(int (*f)(int), int a) { return f(a); }
"""
ENTRIES = ("all", "stores", "recursive", "sized", "pointer", "hands_over")


def build(folder: Path, board_name: str, compiler: str) -> Path:
    board, source, image = load_target(board_name), folder / "a.c", folder / "a.elf"
    source.write_text(SOURCE)
    build_image([source], image, board, cross_toolchain(compiler), keep=ENTRIES)
    return image


def gcc_frames(folder: Path, board_name: str) -> dict[str, int]:
    """What -fstack-usage says, by function."""
    board, gcc = load_target(board_name), cross_toolchain("gcc")
    flags = [*cross_flags(board, gcc), "-fstack-usage"]
    command = [*gcc.command, *flags, "-c", str(folder / "a.c"), "-o", str(folder / "a.o")]
    subprocess.run(command, check=True)
    frames = {}
    for line in (folder / "a.su").read_text().splitlines():
        place, size, kind = line.split("\t")
        if kind == "static":
            frames[place.split(":")[-1]] = int(size)
    return frames


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no arm-none-eabi-gcc")
@pytest.mark.parametrize("board", BOARDS)
def test_frames_are_those_that_gcc_reports(board, tmp_path):
    use = StackUse(build(tmp_path, board, "gcc"))
    frames = gcc_frames(tmp_path, board)
    assert frames["frame"] > 160
    assert frames["large"] > 3600
    worst = {name: use.of(name) for name in ("leaf", "pushes", "frame", "large", "six")}
    assert worst["leaf"] == frames["leaf"]
    assert worst["pushes"] == frames["pushes"] + frames["leaf"]
    assert worst["frame"] == frames["frame"] + frames["leaf"]
    assert worst["large"] == frames["large"] + worst["pushes"]
    assert use.of("passes") == frames["passes"] + worst["six"]
    assert use.of("early") == frames["early"] + worst["large"]
    assert use.of("tail") in (worst["pushes"], frames["tail"] + worst["pushes"])  # a jump, a call
    assert use.of("all") >= frames["all"] + use.of("early")


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
@pytest.mark.parametrize("board", BOARDS)
def test_the_deepest_path_counts_whatever_the_compiler(board, compiler, tmp_path):
    if compiler == "gcc" and shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("no arm-none-eabi-gcc")
    use = StackUse(build(tmp_path, board, compiler))
    deepest = 4 * 900 + 64  # the buffers of early and large
    assert deepest < use.of("all") < deepest + 400
    assert use.of("chooses") >= use.of("frame")
    assert 4 * 6 <= use.of("stores") < 100


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("recursive", "the stack has no bound, recursive calls recursive"),
        ("sized", "sized moves the stack pointer by what is not a constant"),
        ("pointer", "pointer (calls|jumps) through a pointer"),
        ("hands_over", "hands_over (calls|jumps) through a pointer"),
    ],
)
def test_what_has_no_bound_is_an_error(function, reason, board, compiler, tmp_path):
    if compiler == "gcc" and shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("no arm-none-eabi-gcc")
    with pytest.raises(ToolError, match=reason):
        worst_stack(build(tmp_path, board, compiler), function)


def test_a_function_that_is_not_there_is_an_input_error(tmp_path):
    image = build(tmp_path, BOARDS[1], "zig")
    with pytest.raises(InputError, match="there is no function 'nothing'"):
        worst_stack(image, "nothing")
