# SPDX-License-Identifier: Apache-2.0
"""tinytailor targets: the boards and FPGAs that come with the package, or one of them in full."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from tinytailor.cli import completion
from tinytailor.cli.options import Json
from tinytailor.cli.output import Result, command
from tinytailor.cli.tables import draw_table
from tinytailor.targets import Target, load_target, target_names


@command
def run(
    target: Annotated[
        str | None,
        typer.Argument(
            help="A name of the list, or a .toml file: shown with all its sources.",
            autocompletion=completion.targets,
        ),
    ] = None,
    as_json: Json = False,
) -> Result:
    """List the devices that --target knows by name; a .toml file of yours works as well."""
    names = target_names() if target is None else (target,)
    targets = [load_target(name) for name in names]
    record = {"targets": [found.record() for found in targets]}
    if target is not None and targets[0].facts():
        return Result(record, lambda console: _facts(console, targets[0]))
    return Result(record, lambda console: _list(console, targets))


def _list(console: Console, targets: list[Target]) -> None:
    columns = ("target", "kind", "core or part", "clock", "flash or DSP", "RAM", "latency model")
    rows = [
        (t.name, t.kind, t.chip, f"{t.clock_hz / 1e6:g} MHz", *t.capacity, t.trust) for t in targets
    ]
    draw_table(console, columns, rows)


def _facts(console: Console, target: Target) -> None:
    """What the file of a target says, and where each number is from."""
    draw_table(console, (target.name, target.chip, "from"), target.facts())
