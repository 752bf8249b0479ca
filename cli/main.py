# SPDX-License-Identifier: Apache-2.0
"""The command `tinytailor`. One file per command; what is heavy is imported inside a command."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from tinytailor.cli import (
    calibrate,
    inspect,
    measure,
    ops,
    profile,
    quantize,
    report,
    search,
    space,
    table,
    targets,
    verify,
)
from tinytailor.cli import compile as compile_file
from tinytailor.cli.parsing import Command, Commands

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Cuts neural networks to the measure of small devices.",
)

for name, run_command in (
    ("targets", targets.run),
    ("ops", ops.run),
    ("measure", measure.run),
    ("calibrate", calibrate.run),
    ("space", space.run),
    ("search", search.run),
    ("inspect", inspect.run),
    ("quantize", quantize.run),
    ("compile", compile_file.run),
    ("verify", verify.run),
    ("profile", profile.run),
    ("report", report.run),
):
    app.command(name, cls=Command)(run_command)
app.add_typer(table.app, name="table")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tinytailor {version('tinytailor')}")
        raise typer.Exit


@app.callback()
def main(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """The entry point of the installed command."""
    app(prog_name="tinytailor")
