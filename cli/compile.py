# SPDX-License-Identifier: Apache-2.0
"""tinytailor compile: a model file to a project in C (or HLS C++) for a target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tinytailor.cli.options import Json, TargetName
from tinytailor.cli.output import Result, command, note
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
    """The manifest of the new project; what needs no compiler is checked first."""
    from tinytailor.compiler import compile_model, load_model
    from tinytailor.compiler.project import check_name, check_output, sha256_of
    from tinytailor.targets import load_target

    target = load_target(target_name)
    check_name(name)
    check_output(out)
    if model.suffix not in SUFFIXES:
        raise InputError(f"{model}: unknown kind of model; expected {' or '.join(SUFFIXES)}")
    if not model.is_file():
        raise InputError(f"cannot read model {model}: there is no such file")
    note(f"reading {model}")
    graph = load_model(model)
    return compile_model(graph, target, out, name, model_sha256=sha256_of(model), on_step=note)


def _time(manifest: dict[str, Any]) -> str:
    if manifest["latency_ms"] is None:
        return f"{manifest['instructions']} instructions (no cycle model)"
    return f"{manifest['latency_ms']:.3f} ms"


def show(console: Console, manifest: dict[str, Any], out: Path) -> None:
    console.print(f"{manifest['name']} for {manifest['target']}: {out}/")
    if manifest["kind"] == "mcu":
        console.print(
            f"arena {manifest['arena_bytes']} B, RAM {manifest['ram_bytes']} B, "
            f"flash {manifest['flash_bytes']} B, {manifest['macs'] / 1e6:.2f} MMAC, "
            f"{_time(manifest)} on the emulated board"
        )
        console.print(f"next: tinytailor verify {out}; tinytailor profile {out}")
    else:
        console.print(f"next: tinytailor verify {out} --on csim")
