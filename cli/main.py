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
    table,
    targets,
    verify,
)
from tinytailor.cli import compile as compile_file

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Cuts neural networks to the measure of small devices.",
)

app.command("targets")(targets.run)
app.command("ops")(ops.run)
app.command("measure")(measure.run)
app.add_typer(table.app, name="table")
app.command("calibrate")(calibrate.run)
app.command("search")(search.run)
app.command("inspect")(inspect.run)
app.command("quantize")(quantize.run)
app.command("compile")(compile_file.run)
app.command("verify")(verify.run)
app.command("profile")(profile.run)
app.command("report")(report.run)


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
    app()
