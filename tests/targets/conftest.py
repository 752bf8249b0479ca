# SPDX-License-Identifier: Apache-2.0
"""Boards, compilers and images that the tests of this folder share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from target_programs import toolchain_or_skip

from tinytailor.targets import Board, build_image, load_target
from tinytailor.targets.board import load_board

M3_BOARD = """
name = "some-m3"
core = "cortex-m3"
clock_hz = 72_000_000
[memory]
flash = { base = 0x08000000, bytes = 65_536 }
ram   = { base = 0x20000000, bytes = 20_480 }
[latency]
core = 1.0
source = "uncalibrated"
calibrated = false
"""

Build = Callable[..., Path]


@pytest.fixture(scope="session")
def board_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Board]:
    """One board for each core; none with a Cortex-M3 is shipped."""
    m3 = tmp_path_factory.mktemp("boards") / "m3.toml"
    m3.write_text(M3_BOARD)
    names = {
        "cortex-m0plus": "nucleo-g0b1re",
        "cortex-m4": "nucleo-f446re",
        "cortex-m33": "nucleo-l552ze-q",
    }

    def choose(core: str) -> Board:
        board = load_board(m3) if core == "cortex-m3" else load_target(names[core])
        assert isinstance(board, Board)
        return board

    return choose


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build C text for a board, keeping the functions named; equal requests are built once."""
    folder = tmp_path_factory.mktemp("images")

    def image(text: str, board: Board, *keep: str, compiler: str = "gcc") -> Path:
        identity = repr((text, board, keep, compiler)).encode()
        source = folder / f"{hashlib.sha256(identity).hexdigest()[:12]}.c"
        elf = source.with_suffix(".elf")
        if not elf.exists():
            source.write_text(text)
            build_image([source], elf, board, toolchain_or_skip(compiler), keep=keep)
        return elf

    return image
