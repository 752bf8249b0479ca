# SPDX-License-Identifier: Apache-2.0
"""tinytailor targets: the boards and FPGAs that come with the package."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from tinytailor.cli.options import Json
from tinytailor.cli.output import Result, command
from tinytailor.targets import Board, Fpga


@command
def run(as_json: Json = False) -> Result:
    """List the devices that --target knows by name; a .toml file of yours works as well."""
    from tinytailor.targets import load_target, target_names

    targets = [load_target(name) for name in target_names()]

    def show(console: Console) -> None:
        table = Table(
            "target", "kind", "core or part", "clock", "flash or DSP", "RAM", "latency model"
        )
        for target in targets:
            clock = f"{target.clock_hz / 1e6:g} MHz"
            if isinstance(target, Board):
                memory = (kib(target.flash.bytes), kib(target.ram.bytes))
                model = latency_text(target)
                table.add_row(target.name, "mcu", target.core.name, clock, *memory, model)
            else:
                table.add_row(target.name, "fpga", target.part, clock, f"{target.dsp} DSP", "", "")
        console.print(table)

    return Result({"targets": [_record(target) for target in targets]}, show)


def _record(target: Board | Fpga) -> dict[str, Any]:
    record = {"kind": target.kind, **asdict(target)}
    if isinstance(target, Board):
        record["latency"] = record.pop("latency_model")
    return record


def latency_text(board: Board) -> str:
    if board.latency_model is None:
        return "no cycle model"
    return board.latency.trust


def kib(size: int) -> str:
    return f"{size / 1024:g} KiB"
