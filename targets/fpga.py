# SPDX-License-Identifier: Apache-2.0
"""What an FPGA board is: a part, its resources, its memory, and the size of the engine put on it.

Boards are TOML files; ``load_fpga`` turns one into a frozen record or says which key is wrong.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tinytailor.targets.errors import InputError
from tinytailor.targets.toml_table import TomlTable, read_toml

LANES = 16  # a weight word is 16 four-bit weights in 64 bits, an activation word 16 bytes


@dataclass(frozen=True, slots=True)
class Engine:
    """Compile-time sizes of the convolution engine.

    ``input_lanes`` x ``output_lanes`` multiplications happen per cycle in the 1x1 unit;
    ``line_rows`` rows of the deformable unit's line buffer hold ``max_row_words`` words of 16
    channels each; ``max_weight_tiles`` tiles of 16 x 16 weights stay on chip.
    """

    input_lanes: int
    output_lanes: int
    line_rows: int
    max_row_words: int
    max_channels: int
    max_weight_tiles: int

    @property
    def max_dilation(self) -> int:
        """Row r + rows/2 is written while row r is computed, so r +- (rows-2)/2 are both intact."""
        return (self.line_rows - 2) // 2


@dataclass(frozen=True, slots=True)
class Fpga:
    """An FPGA board. ``call_cycles`` is what one start of the engine by the host costs."""

    name: str
    part: str
    clock_hz: int
    dsp: int
    lut: int
    ff: int
    bram36: int
    ddr_bytes_per_second: int
    ddr_efficiency: float
    port_bytes_per_cycle: int
    engine: Engine
    call_cycles: int
    latency_source: str
    definition: str = field(default="", repr=False, compare=False)  # the text of its file
    kind: Literal["fpga"] = "fpga"

    @property
    def ddr_bytes_per_cycle(self) -> float:
        """What the memory sustains, all ports together."""
        return self.ddr_efficiency * self.ddr_bytes_per_second / self.clock_hz

    @property
    def chip(self) -> str:
        return self.part

    @property
    def capacity(self) -> tuple[str, str]:
        return f"{self.dsp} DSP", ""

    @property
    def trust(self) -> str:
        return ""

    def record(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}

    def facts(self) -> tuple[tuple[str, str, str], ...]:
        return ()


def load_fpga(path: Path) -> Fpga:
    """Read and validate an FPGA board file; InputError names the key that is wrong."""
    table = TomlTable(path, read_toml(path))
    resources, memory = table.table("resources"), table.table("memory")
    latency = table.table("latency")
    fpga = Fpga(
        name=table.text("name"),
        part=table.text("part"),
        clock_hz=table.integer("clock_hz", minimum=1),
        dsp=resources.integer("dsp", minimum=1),
        lut=resources.integer("lut", minimum=1),
        ff=resources.integer("ff", minimum=1),
        bram36=resources.integer("bram36", minimum=1),
        ddr_bytes_per_second=memory.integer("ddr_bytes_per_second", minimum=1),
        ddr_efficiency=memory.number("ddr_efficiency", minimum=0.01),
        port_bytes_per_cycle=memory.integer("port_bytes_per_cycle", minimum=1),
        engine=_engine(table.table("engine")),
        call_cycles=latency.integer("call_cycles", minimum=0),
        latency_source=latency.text("source"),
        definition=path.read_text("utf-8"),
    )
    for part in (resources, memory, latency, table):
        part.finish()
    if fpga.ddr_efficiency > 1:
        raise InputError(
            f'{path}: key "memory.ddr_efficiency" is {fpga.ddr_efficiency}; expected at most 1.'
        )
    return fpga


def _engine(table: TomlTable) -> Engine:
    engine = Engine(
        input_lanes=table.integer("input_lanes", minimum=1),
        output_lanes=table.integer("output_lanes", minimum=1),
        line_rows=table.integer("line_rows", minimum=16),
        max_row_words=table.integer("max_row_words", minimum=1),
        max_channels=table.integer("max_channels", minimum=LANES),
        max_weight_tiles=table.integer("max_weight_tiles", minimum=1),
    )
    table.finish()
    if (engine.input_lanes, engine.output_lanes) != (LANES, LANES):
        raise InputError(
            f"{table.path}: engine.input_lanes, engine.output_lanes are {engine.input_lanes} and "
            f"{engine.output_lanes}; expected {LANES}, the weights in one word of the engine."
        )
    if engine.line_rows & (engine.line_rows - 1):
        raise InputError(
            f'{table.path}: key "engine.line_rows" is {engine.line_rows}; expected a power of two.'
        )
    if engine.max_channels % LANES:
        raise InputError(
            f'{table.path}: key "engine.max_channels" is {engine.max_channels}; '
            f"expected a multiple of {LANES}."
        )
    return engine
