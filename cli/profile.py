# SPDX-License-Identifier: Apache-2.0
"""tinytailor profile: what each layer of a compiled project costs on the emulated board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tinytailor.cli.inputs import load_inputs
from tinytailor.cli.output import Json, Result, command
from tinytailor.cli.project import read_manifest
from tinytailor.cli.show import kib, layers_table


@command
def run(
    project: Annotated[Path, typer.Argument(help="Folder that tinytailor compile wrote.")],
    on: Annotated[str, typer.Option(help="Where to run: emulator.")] = "emulator",
    inputs: Annotated[Path | None, typer.Option(help=".npz of inputs; random ones without.")] = None,
    input_name: Annotated[str | None, typer.Option(help="Array of the .npz to read.")] = None,
    as_json: Json = False,
) -> Result:
    """Run a compiled project on the emulated board and show cycles, time and memory per layer."""
    manifest = read_manifest(project)
    x = None
    if inputs is not None:
        x = load_inputs(inputs, manifest["inputs"][0], name=input_name, expect=None).x

    from tinytailor.compiler import profile

    values = profile(project, on, x)
    return Result(values, lambda console: show(console, values))


def show(console: Console, values: dict[str, Any]) -> None:
    console.print(layers_table(values["layers"]))
    console.print(
        f"{values['name']} on {values['target']}: {values['latency_ms']:.3f} ms, "
        f"{values['cycles']:.0f} cycles, {values['instructions']} instructions; "
        f"arena {values['arena_bytes']} B, RAM {kib(values['ram_bytes'])}, "
        f"flash {kib(values['flash_bytes'])}"
    )
    for name, source in values["provenance"].items():
        console.print(f"  {name}: {source}")
