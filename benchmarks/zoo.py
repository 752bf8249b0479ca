#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every network of tests/zoo in every form, beside onnxruntime or LiteRT: a table in Markdown.

usage: python benchmarks/zoo.py [--networks a,b] [--target BOARD]

Columns: elements of all outputs that differ and the largest difference, from the runtime's integer
kernels and (ONNX) from its float arithmetic node by node; then the largest difference of a single
layer that is given the runtime's integers. With --target the first form of each is compiled too,
and run on the host and the emulator.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "zoo"))

import comparison
import onnx_forms
import tflite_networks
import torch_networks
from onnx_forms import Form

from tinytailor.compiler import compile_model, load_model, verify
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.quantize import quantize_onnx
from tinytailor.targets import load_target
from tinytailor.targets.errors import InputError

RUNS = 20
FORMS = (
    Form(),
    Form(activations="uint8"),
    Form(weights="tensor", symmetric=True, opset=15),
    Form(weights="tensor", activations="uint8", prepared=False, opset=13),
    Form(opset=21),
    Form(dynamo=True, opset=18),
    Form("qoperator"),
    Form("qoperator", activations="uint8", weights="tensor", prepared=False),
    Form("float"),
)
Row = tuple[str, str, str, Graph | None]


def onnx_rows(names: list[str], folder: Path) -> Iterator[Row]:
    for name in names:
        for form in FORMS:
            yield (f"{name} (ONNX)", str(form), *onnx_row(name, form, folder))


def onnx_row(name: str, form: Form, folder: Path) -> tuple[str, Graph | None]:
    try:
        path = onnx_forms.built(name, form, folder)
    except Exception as error:  # the exporter's or the quantizer's own failures
        return f"not written: {type(error).__name__} | | ", None
    calibration = onnx_forms.samples(name) if form.kind == "float" else None
    try:
        graph = load_model(path, calibration)
    except InputError as refusal:
        return f"refused: {reason(refusal)} | | ", None
    if calibration is not None:
        data = quantize_onnx(path.read_bytes(), calibration, path=path)
        path = path.with_suffix(".quantized.onnx")
        path.write_bytes(data)
    real = onnx_forms.samples(name, RUNS, seed=9)
    cells = [text(comparison.onnx_gap(path, graph, real, fused)) for fused in (True, False)]
    layers = comparison.onnx_layers(path, graph, real, fused=False)
    cells.append("" if form.kind == "qoperator" else str(max(gap.largest for _, gap in layers)))
    return " | ".join(cells), graph


def tflite_rows(names: list[str], folder: Path) -> Iterator[Row]:
    for name in names:
        for form in tflite_networks.FORMS:
            path = tflite_networks.built(name, form, folder)
            try:
                graph = load_model(path)
            except InputError as refusal:
                yield f"{name} (TFLite)", form, f"refused: {reason(refusal)} | | ", None
                continue
            layers = comparison.litert_layers(path, graph)
            cells = [text(comparison.litert_gap(path, graph, RUNS)), ""]
            cells.append(str(max(gap.largest for _, gap in layers)))
            yield f"{name} (TFLite)", form, " | ".join(cells), graph


def reason(refusal: InputError) -> str:
    """The first operator that stands in the way, or the whole sentence."""
    lines = str(refusal).splitlines()
    return " ".join(lines[min(1, len(lines) - 1)].split())


def text(gap: comparison.Gap) -> str:
    return f"{gap.differing} of {gap.elements}, {gap.largest}"


def device(graph: Graph, target: str, folder: Path) -> str:
    project = Path(tempfile.mkdtemp(dir=folder)) / "project"
    manifest = compile_model(graph, load_target(target), project, "net", model_sha256="")
    exact = all(verify(project, place)["bit_exact"] for place in ("host", "emulator"))
    return f"{'bit-exact' if exact else 'WRONG'}, arena {manifest['arena_bytes']:,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", help="names, separated by commas; all without")
    parser.add_argument("--target", help="a board, to compile and run the first form for it")
    options = parser.parse_args()
    wanted = options.networks.split(",") if options.networks else None
    print("| network | form | integer kernels | float | layer | device |")
    print("|---|---|---|---|---|---|")
    seen: set[str] = set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx = [n for n in torch_networks.NETWORKS if wanted is None or n in wanted]
        tflite = [n for n in tflite_networks.NETWORKS if wanted is None or n in wanted]
        for network, form, cells, graph in chain(
            onnx_rows(onnx, folder), tflite_rows(tflite, folder)
        ):
            ran = ""
            if options.target and graph is not None and network not in seen:
                ran = device(graph, options.target, folder)
                seen.add(network)
            print(f"| {network} | {form} | {cells} | {ran} |", flush=True)


if __name__ == "__main__":
    main()
