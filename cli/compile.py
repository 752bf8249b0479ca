# SPDX-License-Identifier: Apache-2.0
"""tinytailor compile: a model file to a project in C (or HLS C++) for a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tinytailor.cli.options import AllowFloat, CalibrationFile, Json, TargetName
from tinytailor.cli.output import Result, command
from tinytailor.cli.report import draw
from tinytailor.cli.watch import SILENT, TERMINAL, Watch
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from tinytailor.compiler.sections import Section
    from tinytailor.targets import Target

    Samples = Mapping[str, np.ndarray] | np.ndarray

SUFFIXES = (".onnx", ".tflite")
FIRST_STEPS = 2  # reading and optimizing, before those of the back end


@command
def run(
    model: Annotated[Path, typer.Argument(help="Model: .onnx or .tflite, quantized or float.")],
    target: TargetName,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the project.")],
    name: Annotated[str, typer.Option(help="Prefix of the C functions: a C identifier.")] = "model",
    calibration: CalibrationFile = None,
    why: Annotated[
        bool, typer.Option("--why", help="What each pass changed, and why it left the rest alone.")
    ] = False,
    dump: Annotated[
        Path | None, typer.Option(help="Folder for the graph after each pass, as text.")
    ] = None,
    allow_float: AllowFloat = False,
    as_json: Json = False,
) -> Result:
    """Compile a model into a project of plain C (or HLS C++) for a target."""
    watch = replace(TERMINAL, steps=SILENT.steps) if as_json else TERMINAL
    manifest = compile_file(
        model, target, out, name, calibration, dump, allow_float=allow_float, watch=watch
    )

    def draw_all(console: Console) -> None:
        if why:
            draw(console, [passes_section(manifest["passes"])])
        show(console, manifest, out)

    return Result(manifest, draw_all)


def compile_file(
    model: Path,
    target: str | Target,
    out: Path,
    name: str,
    calibration: Path | Samples | None = None,
    dump: Path | None = None,
    *,
    allow_float: bool = False,
    watch: Watch = TERMINAL,
) -> dict[str, Any]:
    """The manifest of the new project; what needs no compiler is checked first.

    ``calibration``: an .npz file, or the arrays themselves as ``load_model`` takes them.
    """
    from tinytailor.compiler import compile_model, load_model
    from tinytailor.compiler.backend import backend_for
    from tinytailor.compiler.passes import check_dump
    from tinytailor.compiler.project import check_name, check_output, sha256_of
    from tinytailor.nas.data.npz import read_npz
    from tinytailor.targets import load_target

    target = load_target(target) if isinstance(target, str) else target
    check_name(name)
    check_output(out)
    check_model(model)
    if dump is not None:
        check_dump(dump)
    samples = read_npz(calibration) if isinstance(calibration, Path) else calibration
    with watch.steps(FIRST_STEPS + backend_for(target.kind).steps) as begin:
        begin(f"reading {model}" if samples is None else f"reading and quantizing {model}")
        with watch.doubts():
            graph = load_model(model, samples, allow_float=allow_float)
        return compile_model(
            graph, target, out, name, model_sha256=sha256_of(model), dump=dump, on_step=begin
        )


def check_model(model: Path) -> None:
    if model.suffix.lower() not in SUFFIXES:
        raise InputError(f"{model}: unknown kind of model; expected {' or '.join(SUFFIXES)}")
    if not model.is_file():
        raise InputError(f"cannot read model {model}: there is no such file")


def passes_section(passes: list[dict[str, Any]]) -> Section:
    """One row a note; passes that matched nothing have a row of their own."""
    from tinytailor.compiler.sections import Section

    rows = []
    for stage in passes:
        before = (stage["name"], str(stage["nodes"]))
        notes = [
            (n["node"], "changed" if n["changed"] else "left", n["text"]) for n in stage["notes"]
        ]
        for note_row in notes or [("", "", "nothing to do")]:
            rows.append((*before, *note_row))
            before = ("", "")
    return Section("Passes", ("pass", "nodes", "node", "", "what, or why not"), rows, text=True)


def show(console: Console, manifest: dict[str, Any], out: Path) -> None:
    from tinytailor.compiler.backend import backend_for

    backend = backend_for(manifest["kind"])
    console.print(f"{manifest['name']} for {manifest['target']}: {out}/")
    for line in backend.summary(manifest):
        console.print(line)
    for note in manifest["passes"][0]["notes"]:  # of the import
        if not note["changed"]:
            console.print(f"note: {note['node']}: {note['text']}")
    console.print(f"next: {'; '.join(backend.next_commands(out))}")
