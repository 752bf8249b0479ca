# SPDX-License-Identifier: Apache-2.0
"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinytailor.cli import completion

Json = Annotated[
    bool, typer.Option("--json", help="One JSON object on stdout, all else on stderr.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of every random choice.", min=0)]
TargetName = Annotated[
    str,
    typer.Option(
        "--target",
        "-t",
        help="A name that `tinytailor targets` lists, or a .toml file.",
        autocompletion=completion.targets,
    ),
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
    str,
    typer.Option(
        "--space", help="Search space: timeseries or image.", autocompletion=completion.spaces
    ),
]
DataName = Annotated[
    str,
    typer.Option(
        "--data",
        help="ucr:NAME, npz:FILE, uci-har, ts-small:NAME, cifar10: what to classify.",
        autocompletion=completion.data_sets,
    ),
]
OptionalDataName = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="A data set of the shape that the space is for.",
        autocompletion=completion.data_sets,
    ),
]
Workers = Annotated[int, typer.Option("--workers", help="Processes that measure at a time.", min=1)]
