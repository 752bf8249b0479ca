# SPDX-License-Identifier: Apache-2.0
"""tinytailor targets: the boards and FPGAs that come with the package."""

from __future__ import annotations

from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tinytailor.cli.options import Json
from tinytailor.cli.output import Result, command


@command
def run(as_json: Json = False) -> Result:
    """List the devices that --target knows by name; a .toml file of yours works as well."""
    from tinytailor.targets import Board, load_target, target_names

    targets = [load_target(name) for name in target_names()]

    def show(console: Console) -> None:
        table = Table(
            "target", "kind", "core or part", "clock", "flash or DSP", "RAM", "latency model"
        )
        for target in targets:
            clock = f"{target.clock_hz / 1e6:g} MHz"
            if isinstance(target, Board):
                memory = (kib(target.flash.bytes), kib(target.ram.bytes))
                model = "fitted on measurements" if target.latency.calibrated else "uncalibrated"
                table.add_row(target.name, "mcu", target.core.name, clock, *memory, model)
            else:
                table.add_row(target.name, "fpga", target.part, clock, f"{target.dsp} DSP", "", "")
        console.print(table)

    return Result({"targets": [{"kind": t.kind, **asdict(t)} for t in targets]}, show)


def kib(size: int) -> str:
    return f"{size / 1024:g} KiB"
