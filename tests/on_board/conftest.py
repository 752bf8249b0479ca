# SPDX-License-Identifier: Apache-2.0
"""Firmware of a few functions, and QEMU machines that run it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from qemu_board import Machine, qemu_board

from tinytailor.targets import Board, cross_toolchain
from tinytailor.targets.serial import Firmware, build_firmware

PROGRAM = """
#include <stdint.h>
void sum(const int32_t *a, const int32_t *b, int32_t *c);
void sum(const int32_t *a, const int32_t *b, int32_t *c) { *c = *a + *b; }
void copy(const uint8_t *from, uint8_t *to);
void copy(const uint8_t *from, uint8_t *to) { for (int i = 0; i < 3000; ++i) { to[i] = from[i]; } }
void spin(const int32_t *n, int32_t *y);
void spin(const int32_t *n, int32_t *y)
{
    volatile int32_t s = 0;
    for (int32_t i = 0; i < *n; ++i) { s = s + (i & 7); }
    *y = s;
}
void add_one(int32_t *x);
void add_one(int32_t *x) { *x += 1; }
void deep(int32_t *y);
void deep(int32_t *y)
{
    volatile uint8_t frame[3000];
    for (int i = 0; i < 3000; ++i) { frame[i] = (uint8_t)i; }
    *y = frame[200];
}
void trespass(int32_t *y);
void trespass(int32_t *y) { y[0] = 1; y[1] = 1; }
void faulty(int32_t *y);
void faulty(int32_t *y) { (void)y; __asm volatile("udf #1"); }
void forever(int32_t *y);
void forever(int32_t *y) { for (;;) { *(volatile int32_t *)y = 1; } }
"""
FUNCTIONS = {
    "sum": 3, "copy": 2, "spin": 2, "add_one": 1, "deep": 1, "trespass": 1, "faulty": 1,
    "forever": 1,
}  # fmt: skip
Start = Callable[[Firmware, Board], Machine]


@pytest.fixture(scope="session")
def firmware_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Firmware]:
    """The functions in the firmware of a board; equal requests are built once."""
    folder = tmp_path_factory.mktemp("firmware")
    source = folder / "functions.c"
    source.write_text(PROGRAM)
    built: dict[str, Firmware] = {}

    def build(board: Board, compiler: str = "gcc") -> Firmware:
        assert board.device is not None
        name = f"{board.name}-{board.device.port}-{compiler}"
        if name not in built:
            toolchain = cross_toolchain(compiler)
            elf = folder / f"{name}.elf"
            built[name] = build_firmware([source], FUNCTIONS, elf, board, toolchain)
        return built[name]

    return build


@pytest.fixture(scope="session")
def firmware(firmware_of) -> Firmware:
    return firmware_of(qemu_board())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A machine that runs a firmware; it ends with the test."""
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not on PATH")
    machines: list[Machine] = []

    def started(firmware: Firmware, board: Board) -> Machine:
        machines.append(Machine(firmware.elf, board, tmp_path))
        return machines[-1]

    yield started
    for machine in machines:
        machine.close()


@pytest.fixture
def machine(start, firmware) -> Machine:
    """The firmware on a Cortex-M4."""
    return start(firmware, qemu_board())
