# SPDX-License-Identifier: Apache-2.0
"""What is counted on a core holds on each of its boards, wherever that has its memories."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from tiers import nightly_but

from tinytailor.compiler.opkey import make_key
from tinytailor.compiler.ops import Conv2d, DepthwiseConv2d, Softmax
from tinytailor.compiler.ops.window import Window
from tinytailor.latency_tables import Measurement
from tinytailor.latency_tables.measuring.counting import bench
from tinytailor.latency_tables.measuring.glue import measure_glue
from tinytailor.latency_tables.measuring.measure import count_batch
from tinytailor.targets import (
    CORES,
    Board,
    Core,
    cross_flags,
    cross_toolchain,
    load_target,
    target_names,
)

# one process, so that a core is counted once
pytestmark = [pytest.mark.emulator, pytest.mark.tvm, pytest.mark.xdist_group("bench")]

# Boards whose memories lie elsewhere than those that operators are counted in.
ELSEWHERE = ("nicla-sense-me", "nrf5340dk", "rpi-pico")


def boards() -> list[Board]:
    return [one for one in map(load_target, target_names()) if isinstance(one, Board)]


EMULATED = [one.name for one in boards() if one.core.emulated_as is not None]


def counted(board: Board) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows with scratch memory and functions of the C library, and the glue."""
    toolchain, isa, padded = cross_toolchain(), str(board.core.isa), (1, 1, 1, 1)
    keys = (
        make_key(Conv2d(12, Window((3, 3), padding=padded)), ((1, 6, 6, 8),), isa),
        make_key(DepthwiseConv2d(Window((3, 3), padding=padded)), ((1, 8, 8, 16),), isa),
        make_key(Softmax(), ((1, 5),), isa),
    )
    rows = count_batch(keys, board, toolchain, "emulator")
    assert all(isinstance(row, Measurement) for row in rows)
    glue = measure_glue(board, toolchain, "emulator")
    return [replace(row, date="").to_json() for row in rows], glue.to_json()


@cache
def on_bench(core: Core) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    return counted(bench(core))


@pytest.mark.parametrize("name", nightly_but(ELSEWHERE, EMULATED))
def test_counts_and_sizes_do_not_depend_on_where_a_board_has_its_memories(name):
    board = load_target(name)
    here = bench(board.core)
    assert name not in ELSEWHERE or board.flash.base != here.flash.base
    rows, glue = on_bench(board.core)
    assert any(row["library"] for row in rows)
    assert counted(board) == (rows, glue)


@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "zig"])
def test_what_code_is_compiled_with_depends_on_the_core_alone(compiler):
    toolchain = replace(cross_toolchain(), name=compiler)
    assert len({(one.core.name, cross_flags(one, toolchain)) for one in boards()}) == len(CORES)
