# SPDX-License-Identifier: Apache-2.0
"""tinytailor targets: the boards and FPGAs that come with the package, or one of them in full."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tinytailor.cli.options import Json
from tinytailor.cli.output import Result, command
from tinytailor.targets import Board, Fpga, MemoryRegion

CONSTANTS = ("core", "flash_load", "flash_byte", "flash_byte_beyond_cache", "per_operator")


@command
def run(
    target: Annotated[
        str | None,
        typer.Argument(help="A name of the list, or a .toml file: shown with all its sources."),
    ] = None,
    as_json: Json = False,
) -> Result:
    """List the devices that --target knows by name; a .toml file of yours works as well."""
    from tinytailor.targets import load_target, target_names

    names = target_names() if target is None else (target,)
    targets = [load_target(name) for name in names]
    record = {"targets": [_record(found) for found in targets]}
    if target is not None and isinstance(targets[0], Board):
        board = targets[0]
        return Result(record, lambda console: _board(console, board))
    return Result(record, lambda console: _list(console, targets))


def _list(console: Console, targets: list[Board | Fpga]) -> None:
    table = Table("target", "kind", "core or part", "clock", "flash or DSP", "RAM", "latency model")
    for target in targets:
        clock = f"{target.clock_hz / 1e6:g} MHz"
        if isinstance(target, Board):
            memory = (kib(target.flash.bytes), kib(target.ram.bytes))
            model = latency_text(target)
            table.add_row(target.name, "mcu", target.core.name, clock, *memory, model)
        else:
            table.add_row(target.name, "fpga", target.part, clock, f"{target.dsp} DSP", "", "")
    console.print(table)


def _board(console: Console, board: Board) -> None:
    """What the file of a board says, and where each number is from."""
    table = Table(board.name, board.core.name, "from")
    table.add_row("clock", f"{board.clock_hz / 1e6:g} MHz", board.sources.clock)
    table.add_row("flash", _region(board.flash), board.sources.flash)
    table.add_row("RAM", _region(board.ram), board.sources.ram)
    model = board.latency_model
    table.add_row("latency", latency_text(board), "" if model is None else model.source)
    for name in CONSTANTS if model is not None else ():
        if getattr(model, name):
            table.add_row(f"  {name}", f"{getattr(model, name):g}", "")
    if board.device is not None:
        device = f"{board.device.port}, {board.device.baud} baud"
        table.add_row("serial", device, board.sources.device)
    console.print(table)


def _region(region: MemoryRegion) -> str:
    return f"{kib(region.bytes)} at {region.base:#010x}"


def _record(target: Board | Fpga) -> dict[str, Any]:
    record = {"kind": target.kind, **asdict(target)}
    if isinstance(target, Board):
        record["latency"] = record.pop("latency_model")
        record["latency_trust"] = latency_text(target)
    return record


def latency_text(board: Board) -> str:
    return "no cycle model" if board.latency_model is None else board.latency.trust


def kib(size: int) -> str:
    return f"{size / 1024:g} KiB"
