# SPDX-License-Identifier: Apache-2.0
"""tinytailor quantize: a float model and samples of its inputs to an integer ONNX model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tinytailor.cli import completion
from tinytailor.cli.compile import check_model
from tinytailor.cli.options import Json
from tinytailor.cli.output import Result, command, doubts_told, note
from tinytailor.targets.errors import InputError
from tinytailor.targets.files import write_atomically


@command
def run(
    model: Annotated[Path, typer.Argument(help="Float model: .onnx or .tflite.")],
    calibration: Annotated[
        Path, typer.Option("--calibration", help=".npz of real float inputs, as the model reads.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .onnx file to write.")],
    scheme: Annotated[
        str,
        typer.Option(help="How numbers are quantized.", autocompletion=completion.schemes),
    ] = "int8",
    as_json: Json = False,
) -> Result:
    """Quantize a float model with samples of its inputs; the result is ONNX in QDQ form."""
    values = quantize_file(model, calibration, out, scheme)
    return Result(values, lambda console: show(console, values))


def quantize_file(model: Path, calibration: Path, out: Path, scheme: str) -> dict[str, Any]:
    from tinytailor.compiler import load_model
    from tinytailor.compiler.frontend.load import read_file
    from tinytailor.compiler.quantize import check_scheme, quantize_model
    from tinytailor.nas.data.npz import read_npz

    check_scheme(scheme)
    check_model(model)
    if out.suffix.lower() != ".onnx" or out.is_dir():
        raise InputError(f"{out}: expected a file name ending in .onnx for the quantized model")
    if out.resolve() == model.resolve():
        raise InputError(f"{out} is the model itself; choose another name for the quantized one")
    arrays = read_npz(calibration)
    note(f"quantizing {model}")
    with doubts_told():
        data = quantize_model(read_file(model), arrays, scheme=scheme, path=model)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tinytailor.", dir=out.parent) as folder:
        part = Path(folder) / out.name
        part.write_bytes(data)
        graph = load_model(part)  # only what can be compiled is handed out
    write_atomically(out, lambda file: file.write_bytes(data))
    return {
        "model": str(model),
        "out": str(out),
        "scheme": scheme,
        "bytes": len(data),
        "layers": len(graph.nodes),
        "macs": graph.macs,
    }


def show(console: Console, values: dict[str, Any]) -> None:
    from tinytailor.compiler.sections import macs_text

    console.print(
        f"{values['out']}: {values['scheme']}, {values['layers']} layers, "
        f"{macs_text(values['macs'])}, {values['bytes']} bytes"
    )
    console.print(f"next: tinytailor compile {values['out']} --target TARGET -o DIR")
