# SPDX-License-Identifier: Apache-2.0
"""QEMU as a runner agrees with the emulator, and with QEMU's own virtual clock.

With ``-icount shift=0`` one instruction takes 1 ns and the board's 25 MHz timer ticks each 40.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from target_programs import COUNTED_LOOP, PROGRAMS

from tinytailor.targets import (
    RUNNERS,
    Board,
    Buffer,
    Call,
    default_runner,
    linked_for,
    qemu,
    run,
    run_on,
)
from tinytailor.targets.board import load_board
from tinytailor.targets.errors import CheckError, InputError, ToolError
from tinytailor.targets.testing.call_programs import PROGRAM, functions, number

pytestmark = [pytest.mark.emulator, pytest.mark.qemu, pytest.mark.tvm]

BOARD = """
name = "mps2-an386"
core = "cortex-m4"
clock_hz = 25_000_000
[memory]
flash = { base = 0x00000000, bytes = 4_194_304 }
ram   = { base = 0x20000000, bytes = 4_194_304 }
[latency]
core = 1.0
source = "an emulated board"
calibrated = false
"""
MAIN = """
void work(int32_t *x);
__attribute__((noinline)) void work(int32_t *x)
{
    for (int32_t i = 0; i < 200; ++i) { x[0] = 1000; run(x); }
}
static int semihosting(int operation, const void *argument)
{
    register int r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = argument;
    __asm volatile("bkpt #0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
int main(void)
{
    static int32_t x[4];
    volatile uint32_t *timer = (volatile uint32_t *)0x40002000; /* load, value, control */
    timer[0] = 0xffffffffu;
    timer[2] = 0x82; /* enabled, 32 bits */
    uint32_t before = timer[1];
    work(x);
    uint32_t ticks = before - timer[1];
    char text[9] = {0};
    for (int i = 0; i < 8; ++i) { text[i] = "0123456789abcdef"[ticks >> (28 - 4 * i) & 15]; }
    semihosting(0x04, text);
    semihosting(0x18, (const void *)0x20026);
    return 0;
}
"""
INSTRUCTIONS_PER_TICK = 40


@pytest.mark.parametrize("name", ["counted loop", "branches", "memory", "selects", "floats"])
def test_instructions_equal_those_of_qemu_to_the_tick(
    name: str, build: Callable[..., Path], tmp_path: Path
) -> None:
    qemu = shutil.which("qemu-system-arm")
    if qemu is None:
        pytest.skip("qemu-system-arm is not on PATH")
    path = tmp_path / "an386.toml"
    path.write_text(BOARD)
    board = load_board(path)
    elf = build(PROGRAMS[name] + MAIN, board, "work")
    command = [qemu, "-M", "mps2-an386", "-display", "none", "-icount", "shift=0", "-kernel"]
    command += [str(elf), "-semihosting-config", "enable=on,target=native"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    ticks = int((done.stdout + done.stderr).strip(), 16)
    (result,) = run(elf, board, [Call("work", (Buffer(16, struct.pack("<4i", 0, 0, 0, 0)),))])
    counted = result.counts[""].instructions
    assert counted > 100_000
    assert abs(ticks * INSTRUCTIONS_PER_TICK - counted) <= 2 * INSTRUCTIONS_PER_TICK


CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")
INPUT = struct.pack("<4i", 1000, 0, 0, 0)


@pytest.fixture
def qemu_path() -> str:
    path = shutil.which("qemu-system-arm")
    if path is None:
        pytest.skip("qemu-system-arm is not on PATH")
    return path


@pytest.mark.parametrize("core", CORES)
def test_qemu_and_the_emulator_count_the_same_and_compute_the_same(
    core: str, qemu_path: str, board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    board = board_of(core)
    calls = [Call("run", (Buffer(16, INPUT, read_back=True),))] * 2
    for name, text in PROGRAMS.items():
        emulated = run_on("emulator", build(text, board, "run"), board, calls)
        image = build(text, linked_for("qemu", board), "run")
        assert run_on("qemu", image, board, calls) == emulated, name


@pytest.mark.parametrize("core", CORES)
def test_regions_are_told_apart_as_on_the_emulator(
    core: str, qemu_path: str, board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    board = board_of(core)
    numbers = tuple(number(i) for i in range(1, 7))
    calls = [Call("outer", (number(20),)), Call("sum6", numbers), Call("recursive", (number(9),))]
    calls.append(Call("only_shared", (number(3),)))
    regions = {"first": "1", "second": "2", "third": "3"}
    found = [
        run_on(
            on,
            build(PROGRAM, linked_for(on, board), *functions(PROGRAM)),
            board,
            calls,
            regions=regions,
        )
        for on in RUNNERS
    ]
    assert found[0] == found[1]
    assert found[1][0].counts["3"].instructions > 3 * 3 * 20


@pytest.mark.parametrize("core", [*CORES, "cortex-m55"])
@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("undefined", r"\(undefined\+0x[0-9a-f]+\): a fault"),
        ("unaligned_pair", r"\(unaligned_pair\+0x[0-9a-f]+\): (a fault|an unaligned access)"),
        ("service", r".*: (a fault|stopped|did not return)"),
        ("forever", r"\(forever\+0x[0-9a-f]+\): did not return within 0\.2 s"),
    ],
)
def test_what_the_core_refuses_is_named_with_its_place(
    core: str,
    function: str,
    message: str,
    qemu_path: str,
    board_of: Callable[[str], Board],
    build: Callable[..., Path],
) -> None:
    board = linked_for("qemu", board_of(core))
    image = build(PROGRAM, board, *functions(PROGRAM))
    calls = [Call("nothing", (number(1),)), Call(function, (number(1),))]
    place = rf"call 1 \({function}\) of .* on QEMU at pc 0x\w{{8}} ?{message}"
    with pytest.raises(CheckError, match=place):
        qemu.run(image, board, calls, timeout_s=0.2)


def test_a_missing_qemu_is_a_sentence(
    board_of: Callable[[str], Board], build: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    board = linked_for("qemu", board_of("cortex-m4"))
    image = build(PROGRAM, board, *functions(PROGRAM))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolError, match="qemu-system-arm is not on PATH"):
        qemu.run(image, board, [Call("nothing", (number(1),))], count=False)


def test_an_image_for_the_board_itself_is_refused(
    qemu_path: str, board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    board = board_of("cortex-m4")
    with pytest.raises(InputError, match=r"outside the flash of .*built for another board"):
        run_on(
            "qemu",
            build(PROGRAM, board, *functions(PROGRAM)),
            board,
            [Call("nothing", (number(1),))],
        )


def test_a_core_that_only_qemu_has_is_refused_by_the_emulator(
    board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    board = board_of("cortex-m55")
    assert default_runner(board) == "qemu"
    with pytest.raises(InputError, match=r"the emulator has no cortex-m55.*run it on qemu"):
        run_on("emulator", build(PROGRAM, board, *functions(PROGRAM)), board, [])


def test_a_loop_on_the_cortex_m55_is_counted_to_the_instruction(
    qemu_path: str, board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    board = board_of("cortex-m55")
    image = build(COUNTED_LOOP, linked_for("qemu", board), "run")
    (result,) = run_on("qemu", image, board, [Call("run", (Buffer(16, INPUT),))])
    counts = result.counts[""]
    assert counts.instructions == 1 + 3 * 1000 + 1
    # ldr with adds, two later subs with bne; 999 times adds with subs, bne; bx. Branches are taken
    # 999 times at once and one time to an address in a register.
    assert counts.core_cycles == 3 + 999 * 2 + 1 + 999 * 2 + 3


VECTOR_READS = """
#include <stdint.h>
static const uint8_t table[64] __attribute__((aligned(8))) = {1};
#define READS(name, text) \\
    void name(int32_t *x); \\
    void name(int32_t *x) \\
    { \\
        (void)x; \\
        __asm volatile(text : : "r"(table) : "q0", "q1", "memory"); \\
    }
READS(bytes, "vldrb.u8 q0, [%0]")
READS(words, "vldrw.u32 q0, [%0]")
READS(widened, "vldrb.s16 q0, [%0]")
READS(twice, "vldrb.u8 q0, [%0]; vldrb.u8 q1, [%0, #16]")
READS(across, "vldrb.u8 q0, [%0, #2]")
READS(scalar, "ldrb r2, [%0]; ldrb r2, [%0, #1]")
"""


def test_a_vector_load_counts_as_the_words_that_it_touches(
    qemu_path: str, board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    board = board_of("cortex-m55")
    expected = {
        "bytes": (4, 16),
        "words": (4, 16),
        "widened": (2, 8),
        "twice": (8, 32),
        "across": (5, 16),
        "scalar": (2, 2),
    }
    image = build(VECTOR_READS, linked_for("qemu", board), *expected)
    results = run_on("qemu", image, board, [Call(name, (number(1),)) for name in expected])
    counts = [result.counts[""] for result in results]
    pool = 1  # the address of the table
    found = {
        name: (c.flash_loads - pool, c.flash_bytes - 4 * pool)
        for name, c in zip(expected, counts, strict=True)
    }
    assert found == expected
