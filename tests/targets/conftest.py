# SPDX-License-Identifier: Apache-2.0
"""Boards, compilers and images that the tests of this folder share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from target_programs import toolchain_or_skip

from tinytailor.targets import Board, build_image, load_target

Build = Callable[..., Path]


@pytest.fixture(scope="session")
def board_of() -> Callable[[str], Board]:
    """One board for each core."""
    names = {
        "cortex-m0plus": "nucleo-g0b1re",
        "cortex-m3": "nucleo-f207zg",
        "cortex-m4": "nucleo-f446re",
        "cortex-m7": "nucleo-h743zi",
        "cortex-m33": "nucleo-l552ze-q",
        "cortex-m55": "mps3-an547",
    }

    def choose(core: str) -> Board:
        board = load_target(names[core])
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
