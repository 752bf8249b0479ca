# SPDX-License-Identifier: Apache-2.0
"""tinytailor compile: a model file to a project in C (or HLS) for a target."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tinytailor.cli.output import Json, Result, TargetName, command, note
from tinytailor.cli.project import free_folder, identifier
from tinytailor.cli.show import kib
from tinytailor.targets.errors import InputError

SUFFIXES = (".onnx", ".tflite")


@command
def run(
    model: Annotated[Path, typer.Argument(help="Quantized model: .onnx (QDQ) or .tflite (int8).")],
    target: TargetName,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the project.")],
    name: Annotated[str, typer.Option(help="Prefix of the C functions: a C identifier.")] = "model",
    as_json: Json = False,
) -> Result:
    """Compile a quantized model into a project of plain C (or HLS C++) for a target."""
    manifest = compile_file(model, target, out, name)
    return Result(manifest, lambda console: show(console, manifest, out))


def compile_file(model: Path, target_name: str, out: Path, name: str) -> dict[str, Any]:
    """Checks that need no compiler first, then the compiler's work, each step on stderr."""
    from tinytailor.targets import load_target

    target = load_target(target_name)
    identifier(name)
    free_folder(out)
    digest = model_digest(model)

    from tinytailor.compiler import compile_model, load_model

    return compile_model(
        load_model(model), target, out, name, model_sha256=digest, on_step=note
    )


def model_digest(model: Path) -> str:
    if model.suffix not in SUFFIXES:
        raise InputError(f"{model}: unknown kind of model; expected {' or '.join(SUFFIXES)}")
    try:
        return hashlib.sha256(model.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read model {model}: {error.strerror}") from None


def show(console: Console, manifest: dict[str, Any], out: Path) -> None:
    console.print(f"{manifest['name']} for {manifest['target']}: {out}/")
    console.print(
        f"arena {manifest['arena_bytes']} B, RAM {kib(manifest['ram_bytes'])}, "
        f"flash {kib(manifest['flash_bytes'])}, {manifest['macs'] / 1e6:.2f} MMAC"
    )
    console.print(f"next: tinytailor verify {out}; tinytailor profile {out}")
