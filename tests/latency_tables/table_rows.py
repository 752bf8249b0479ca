# SPDX-License-Identifier: Apache-2.0
"""A header and rows of made-up but plausible numbers: tables that need no measuring."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tinytailor.compiler.opkey import OpKey, make_key
from tinytailor.compiler.ops import Conv2d
from tinytailor.compiler.ops.window import Window
from tinytailor.latency_tables import Glue, Header, LatencyTable, Measurement, Work

GLUE = Glue(Work(90, 120, 4, 16), Work(10, 14, 1, 4), 900, 40, 4, 64)
HEADER = Header(
    target=None,
    clock_hz=None,
    core="cortex-m4",
    isa="dsp",
    toolchain="arm-none-eabi-gcc",
    toolchain_version="12.2",
    toolchain_flags=("-O2",),
    tool_version="0.1.0",
    runner="emulator",
    compiler="00112233",
    created="2026-01-01T00:00:00+00:00",
    glue=GLUE,
)


def pointwise(size: int, channels: int, out: int) -> OpKey:
    return make_key(Conv2d(out, Window((1, 1))), ((1, size, size, channels),), "dsp")


def row(key: OpKey, cycles: float | None = None) -> Measurement:
    """Cycles of the core by a formula of the multiplications and outputs, unless given."""
    macs = key.operator().macs(*key.input_shapes)
    if cycles is None:
        cycles = 900 + 1.5 * macs + 12 * macs / key.input_shapes[0][-1]
    return Measurement(
        key=key,
        cycles=None,
        counts=Work(round(cycles), round(cycles), 20, 64),
        scratch_bytes=0,
        constant_bytes=96,
        code_bytes=200,
        entry_bytes=12,
        library={"memset": 162},
        stack_bytes=48,
        repeats=2,
        spread_cycles=0,
        date="2026-01-02",
    )


def grid() -> list[OpKey]:
    """Pointwise convolutions of 4 maps, 5 input and 5 output channel counts."""
    counts = (8, 16, 24, 32, 48)
    return [pointwise(s, c, o) for s in (4, 6, 8, 12) for c in counts for o in counts]


def table_of(path: Path, rows: Iterable[Measurement]) -> LatencyTable:
    table = LatencyTable.create(path, HEADER)
    table.append(list(rows))
    return table
