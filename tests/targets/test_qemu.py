# SPDX-License-Identifier: Apache-2.0
"""The counts agree with QEMU, another emulator, which counts by its virtual clock.

With ``-icount shift=0`` one instruction takes 1 ns and the board's 25 MHz timer ticks each 40.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from target_programs import PROGRAMS

from tinytailor.targets import Buffer, Call, run
from tinytailor.targets.board import load_board

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
