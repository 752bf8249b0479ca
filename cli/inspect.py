# SPDX-License-Identifier: Apache-2.0
"""tinytailor inspect: what is in a model file, and what the compiler would make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tinytailor.cli.compile import check_model
from tinytailor.cli.options import CalibrationFile, Json
from tinytailor.cli.output import Result, command, doubts_told
from tinytailor.cli.report import draw

if TYPE_CHECKING:
    from tinytailor.compiler.sections import Section

FORMS = {
    "integer": "yes",
    "float": "no, but with --allow-float",
    "none": "no",
    "not tried": "not tried",
    None: "not tried",
}
TRIED = {
    "random samples": " (tried with random samples)",
    "samples": " (tried with the samples given)",
    "as it is": "",
    None: "",
}
OPTIONS = {"--calibration": "--calibration X.npz"}


@command
def run(
    model: Annotated[Path, typer.Argument(help="Model: .onnx or .tflite, quantized or float.")],
    calibration: CalibrationFile = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Every operator, of the file and of what it becomes.")
    ] = False,
    as_json: Json = False,
) -> Result:
    """Show what is in a model file and whether the compiler takes it, or all that it refuses.

    A float model is quantized to see that: with random samples, or those of --calibration.
    """
    from tinytailor.compiler import inspect_model
    from tinytailor.nas.data.npz import read_npz

    check_model(model)
    samples = None if calibration is None else read_npz(calibration)
    with doubts_told():
        values = inspect_model(model, samples).to_json()
    return Result(values, lambda console: show(console, values, layers))


def show(console: Console, values: dict[str, Any], layers: bool) -> None:
    for line in summary(values):
        console.print(line)
    console.print()
    draw(console, [tensors_section(values), kinds_section(values["operators"])])
    if layers:
        draw(console, layer_sections(values))
    if values["refused"]:
        draw(console, [refused_section(values["refused"])])
    for line in verdict(values):
        console.print(line)


def summary(values: dict[str, Any]) -> list[str]:
    from tinytailor.compiler.sections import macs_text

    format_, unknown = values["format"], values["macs_unknown"]
    count = sum(kind["count"] for kind in values["operators"])
    versions = ", ".join(f"{name} {version}" for name, version in format_["versions"].items())
    producer = f", by {format_['producer']}" if format_["producer"] else ""
    least = f" in {count - unknown} of {count} operators, the others unknown" if unknown else ""
    return [
        f"{values['model']}: {format_['name']} ({versions}){producer}",
        values["quantization"]["text"],
        f"{values['bytes']} B, {values['parameters']} parameters in {values['weight_bytes']} B, "
        f"{macs_text(values['macs'])}{least}",
    ]


def tensors_section(values: dict[str, Any]) -> Section:
    from tinytailor.compiler.sections import Section

    rows = [
        (role, *tensor_cells(tensor))
        for role in ("input", "output")
        for tensor in values[f"{role}s"]
    ]
    columns = ("", "name", "shape", "type", "scale", "zero point")
    return Section("Inputs and outputs", columns, rows, text=True)


def tensor_cells(tensor: Mapping[str, Any]) -> tuple[str, ...]:
    kind, integers = tensor["type"], tensor["integers"]
    kind = kind if integers in (None, kind) else f"{kind}, as {integers}"
    quantized = integers is not None
    scale = f"{tensor['scale']:.6g}" if quantized else ""
    zero_point = str(tensor["zero_point"]) if quantized else ""
    return tensor["name"], shape_text(tensor["shape"]), kind, scale, zero_point


def kinds_section(kinds: Sequence[Mapping[str, Any]]) -> Section:
    from tinytailor.compiler.sections import Section

    rows = []
    for kind in kinds:
        forms = [f"{count} {FORMS[form]}" for form, count in kind["forms"].items()]
        text = FORMS[next(iter(kind["forms"]))] if len(forms) == 1 else "; ".join(forms)
        rows.append((kind["operator"], str(kind["count"]), number(kind["macs"]), text))
    return Section("Operators", ("", "count", "MAC", "integer form"), rows, text=True)


def layer_sections(values: dict[str, Any]) -> list[Section]:
    from tinytailor.compiler.sections import Section

    def row(layer: Mapping[str, Any]) -> tuple[str, ...]:
        name = layer["name"].split(";")[0]  # TFLite joins the names of what was fused
        return name, layer["operator"], shape_text(layer["shape"]), number(layer["macs"])

    columns = ("name", "operator", "output", "MAC")
    rows = [(*row(layer), FORMS[layer["form"]]) for layer in values["layers"]]
    found = [Section("Layers of the file", (*columns, "integer form"), rows, text=True)]
    if values["graph"] is not None:
        nodes = [row(layer) for layer in values["graph"]["layers"]]
        found.append(Section("Layers of the integer graph", columns, nodes, text=True))
    return found


def refused_section(refused: Sequence[Mapping[str, Any]]) -> Section:
    from tinytailor.compiler.frontend.report import ALLOW_FLOAT
    from tinytailor.compiler.sections import Section

    rows = [
        (
            item["operator"],
            item["place"],
            item["reason"] + (f"; {ALLOW_FLOAT}" if item["allow_float"] else ""),
        )
        for item in refused
    ]
    return Section("Without an integer form", ("operator", "where", "why"), rows, text=True)


def verdict(values: dict[str, Any]) -> list[str]:
    """What the compiler would do, and the next command."""
    from tinytailor.compiler.sections import macs_text

    tried, graph, needs = TRIED[values["tried"]], values["graph"], values["needs"]
    lines = [f"refused: {problem}" for problem in values["problems"]]
    if graph is None:
        also = f"; besides, it needs {' and '.join(needs)}" if needs else ""
        return [*lines, f"the compiler refuses it{tried}{also}"]
    how = f"with {' and '.join(needs)}" if needs else "as it is"
    least = "" if graph["proven"] else ", perhaps less"
    options = [OPTIONS.get(need, need) for need in needs]
    return [
        f"the compiler takes it {how}{tried}: {graph['operators']} operators, "
        f"{macs_text(graph['macs'])}",
        f"in plain C: {graph['constant_bytes']} B of constants in flash, "
        f"arena {graph['arena_bytes']} B{least}",
        f"next: tinytailor compile {' '.join([values['model'], *options])} --target TARGET -o DIR",
    ]


def shape_text(shape: Sequence[int | None] | None) -> str:
    if shape is None:
        return "unknown"
    sizes = ["free" if size is None else str(size) for size in shape]
    return f"({', '.join(sizes)})"


def number(value: int | None) -> str:
    return "unknown" if value is None else str(value)
