# SPDX-License-Identifier: Apache-2.0
"""The boot stage of the RP2040 and its port, run on an emulated core: no board was there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tinytailor.latency_tables.measuring.library import library_functions
from tinytailor.targets import (
    Board,
    Buffer,
    Call,
    build_image,
    cross_toolchain,
    image_sizes,
    load_target,
    run,
)
from tinytailor.targets.boot import CODE_BYTES, STAGE_BYTES, checksum, with_checksum
from tinytailor.targets.errors import InputError, ToolError
from tinytailor.targets.image import load_image
from tinytailor.targets.qemu import machine_board
from tinytailor.targets.serial import build_firmware
from tinytailor.targets.toolchain import boot_source

pytestmark = [pytest.mark.emulator]

CHIP = Path(__file__).with_name("rp2040_steps.py")
FLASH = 0x10000000
SOURCE = "void twice(int *x);\nvoid twice(int *x) { *x *= 2; }\n"


@pytest.fixture(scope="module")
def board() -> Board:
    found = load_target("rpi-pico")
    assert isinstance(found, Board)
    return found


def source_in(folder: Path) -> Path:
    (folder / "twice.c").write_text(SOURCE)
    return folder / "twice.c"


@pytest.fixture(scope="module")
def image(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    elf = folder / "image.elf"
    build_image([source_in(folder)], elf, board, cross_toolchain(), keep=("twice",))
    return elf


def chip(**job: Any) -> dict[str, Any]:
    """What tests/targets/rp2040_steps.py saw."""
    done = subprocess.run(
        [sys.executable, str(CHIP), json.dumps(job)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def flash_of(elf: Path) -> bytes:
    """From the first byte of the flash on."""
    segment = load_image(elf).segments[0]
    assert segment.address == FLASH
    return segment.data


def reversed_bits(value: int, bits: int) -> int:
    return int(f"{value:0{bits}b}"[::-1], 2)


def test_the_checksum_is_zlibs_with_all_bits_the_other_way_round():
    """The ROM takes the highest bit first and inverts nothing at the end; zlib does both."""
    for data in (b"123456789", b"", bytes(range(252))):
        mirrored = bytes(reversed_bits(byte, 8) for byte in data)
        assert checksum(data) == reversed_bits(zlib.crc32(mirrored) ^ 0xFFFFFFFF, 32)
    assert checksum(b"123456789") == 0x0376E6E7, "the check value of CRC-32/MPEG-2"


def test_a_stage_is_256_bytes_that_end_in_the_checksum_of_the_others():
    data = with_checksum(b"\x70\x47")
    assert len(data) == STAGE_BYTES
    assert data[:4] == b"\x70\x47\0\0"
    assert int.from_bytes(data[-4:], "little") == checksum(data[:-4])
    with pytest.raises(ToolError, match="253 bytes of code, at most 252 fit"):
        with_checksum(bytes(CODE_BYTES + 1))


def test_an_image_begins_with_the_stage_and_its_vectors_follow(board, image):
    data, sizes = flash_of(image), image_sizes(image)
    assert int.from_bytes(data[252:256], "little") == checksum(data[:252])
    stack, reset = (int.from_bytes(data[i : i + 4], "little") for i in (256, 260))
    assert stack == board.ram.end
    assert reset == sizes.symbols["Reset_Handler"][0] | 1
    assert sizes.symbols["vectors"][0] == FLASH + STAGE_BYTES


def test_the_stage_sets_up_the_flash_and_starts_the_program(board, image):
    reset = image_sizes(image).symbols["Reset_Handler"][0]
    end = chip(elf=str(image), run="boot", reset=reset)
    assert (end["pc"], end["sp"], end["vtor"]) == (reset, board.ram.end, FLASH + STAGE_BYTES)
    writes = [(address - 0x18000000, value) for address, value in end["writes"][:-1]]
    assert writes[0] == (0x08, 0), "switched off first"
    assert writes[-1] == (0x08, 1), "and on when all else is set"
    # 32-bit frames after command and address; 03h with 24 bits of address; a quarter of the clock
    assert dict(writes[1:-1]) == {0x00: 0x001F0300, 0x04: 0, 0xF4: 0x03000218, 0x14: 4, 0x10: 1}


def test_gcc_and_zig_assemble_the_same_stage(board):
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    texts = {boot_source(board, cross_toolchain(name)) for name in ("gcc", "zig")}
    assert len(texts) == 1
    assert "assembled from:" in texts.pop()


def test_the_emulator_starts_an_image_behind_its_stage_and_qemu_has_none(board, image):
    call = Call("twice", (Buffer(4, (21).to_bytes(4, "little"), read_back=True),))
    (result,) = run(image, board, [call])
    assert int.from_bytes(result.outputs[0], "little") == 42
    assert machine_board(board).boot is None


def test_the_stage_is_no_function_that_a_network_needs(board, image):
    assert library_functions(image_sizes(image), board, own="twice") == {}


def test_a_program_without_the_stage_is_not_linked(board, tmp_path, monkeypatch):
    monkeypatch.setattr("tinytailor.targets.toolchain.boot_source", lambda *_: "")
    with pytest.raises(ToolError, match=r"needs its boot stage: link boot\.c as well"):
        build_image([source_in(tmp_path)], tmp_path / "x.elf", board, cross_toolchain())


def test_a_stage_is_named_by_the_board_file_and_belongs_to_a_flash(board, tmp_path):
    path = tmp_path / "mine.toml"
    for old, new, message in (
        ('boot = "rp2040"', 'boot = "rp2350"', "'rp2350'; did you mean rp2040"),
        ("base = 0x10000000", "base = 0x08000000", "a boot stage for a flash at 0x10000000"),
    ):
        assert old in board.definition
        path.write_text(board.definition.replace(old, new))
        with pytest.raises(InputError) as caught:
            load_target(str(path))
        assert message in str(caught.value)
    path.write_text(board.definition.replace('boot = "rp2040"\n', ""))
    assert load_target(str(path)) == replace(board, boot=None)
    assert any("never run on a board" in source for _, _, source in board.facts())


@pytest.fixture(scope="module")
def firmware(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("firmware")
    elf = folder / "firmware.elf"
    build_firmware([source_in(folder)], {"twice": 1}, elf, board, cross_toolchain())
    return elf


def test_the_port_sets_125_mhz_and_the_uart_from_registers_that_answer(firmware):
    end = chip(elf=str(firmware), run="port")
    assert (end["clock_hz"], end["status"]) == (125_000_000, 0)
    last = dict(end["writes"])
    assert (last[0x40028008], last[0x4002800C]) == (125, 6 << 16 | 2 << 12), "12 * 125 / 6 / 2"
    assert last[0x40028004] == 0x2D & ~0x29, "oscillator and dividers on"
    assert (last[0x40014004], last[0x4001400C]) == (2, 2), "UART0 on GPIO 0 and 1"
    assert (last[0x40034024], last[0x40034028]) == (6, 33), "12 MHz / 16 / 115200"
    assert end["writes"][-1] == [0x40034000, ord("A")]
    order = [address for address, _ in end["writes"]]
    assert order.index(0x4003402C) > order.index(0x40034028), "the line takes the divisor"


@pytest.mark.parametrize(
    ("part", "status", "clock_hz"), [("crystal", 1, 6_500_000), ("pll", 2, 12_000_000)]
)
def test_the_port_says_which_part_of_the_clock_did_not_start(firmware, part, status, clock_hz):
    end = chip(elf=str(firmware), run="port", broken=[part])
    assert (end["status"], end["clock_hz"]) == (status, clock_hz)
    assert end["writes"][-1] == [0x40034000, ord("A")], "the UART works all the same"
