#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reference models on the emulated boards: sizes, instructions and modelled time.

usage: python benchmarks/mcu_models.py [--write] [--data FOLDER]

Prints one row per model and board. With --write the deterministic columns become the baseline that
the tests hold (benchmarks/mcu_baseline.json), so that a regression, or a gain, shows in review.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tinytailor.compiler import compile_model, load_model
from tinytailor.targets import cross_toolchain, load_target

HERE = Path(__file__).resolve().parent
BASELINE = HERE / "mcu_baseline.json"
MODELS = {"kws": "models/kws_int8.tflite", "ic": "models/ic_resnet8_int8.tflite"}
BOARDS = ("nucleo-l4r5zi", "nucleo-l552ze-q", "nucleo-g0b1re")
COLUMNS = ("arena_bytes", "ram_bytes", "flash_bytes", "instructions", "cycles")


def data_folder() -> Path:
    default = HERE.parent.parent / "shared" / "data"
    return Path(os.environ.get("TINYTAILOR_DATA", default))


def measure(model: str, board: str, data: Path) -> dict[str, Any]:
    """Compile one reference model; the deterministic numbers of its manifest and the time."""
    graph = load_model(data / "mlperf_tiny" / MODELS[model])
    with tempfile.TemporaryDirectory() as folder:
        manifest = compile_model(
            graph, load_target(board), Path(folder) / model, model, model_sha256=""
        )
    return {column: manifest[column] for column in (*COLUMNS, "latency_ms")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the baseline")
    parser.add_argument("--data", type=Path, default=data_folder())
    options = parser.parse_args()
    rows: dict[str, dict[str, Any]] = {}
    print("| model | board |", " | ".join(COLUMNS), "| latency_ms |")
    print("|---" * (len(COLUMNS) + 3) + "|")
    for board in BOARDS:
        for model in MODELS:
            row = measure(model, board, options.data)
            print(
                f"| {model} | {board} |",
                " | ".join(f"{row[c]:,}" for c in COLUMNS),
                f"| {row['latency_ms']:.1f} |",
                flush=True,
            )
            rows[f"{model} {board}"] = {c: row[c] for c in COLUMNS}
    if options.write:
        text = json.dumps({"toolchain": cross_toolchain().version, "rows": rows}, indent=1)
        temporary = BASELINE.with_suffix(".tmp")
        temporary.write_text(text + "\n")
        os.replace(temporary, BASELINE)


if __name__ == "__main__":
    main()
