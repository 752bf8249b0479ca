# SPDX-License-Identifier: Apache-2.0
"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tinytailor.cli import completion


def target_option(help: str) -> Any:
    return typer.Option("--target", "-t", help=help, autocompletion=completion.targets)


def space_option(help: str) -> Any:
    return typer.Option("--space", help=help, autocompletion=completion.spaces)


def data_option(help: str) -> Any:
    return typer.Option("--data", help=help, autocompletion=completion.data_sets)


Json = Annotated[
    bool, typer.Option("--json", help="One JSON object on stdout, all else on stderr.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of every random choice.", min=0)]
TargetName = Annotated[
    str, target_option("A name that `tinytailor targets` lists, or a .toml file.")
]
ProjectFolder = Annotated[Path, typer.Argument(help="Folder that tinytailor compile wrote.")]
InputsFile = Annotated[
    Path | None,
    typer.Option("--inputs", help=".npz of inputs, int8 or float (quantized); else random ones."),
]
CalibrationFile = Annotated[
    Path | None,
    typer.Option("--calibration", help=".npz of real float inputs, to quantize a float model."),
]
AllowFloat = Annotated[
    bool,
    typer.Option("--allow-float", help="Compute operators that have no integer form in float."),
]
InputName = Annotated[str | None, typer.Option(help="Array of the .npz that holds the inputs.")]
SpaceName = Annotated[
    str | None, space_option("Search space; by default series, or image for images.")
]
DataName = Annotated[
    str,
    data_option(
        "What to classify: npz:FILE, folder:PATH, ucr:NAME, uci-har, hapt, mitbih, fsdd, "
        "speech-commands:FOLDER, ts-small:NAME, cifar10."
    ),
]
OptionalDataName = Annotated[
    str | None, data_option("A data set of the shape that the space is for.")
]
Workers = Annotated[int, typer.Option("--workers", help="Processes that measure at a time.", min=1)]
