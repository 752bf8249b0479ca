#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Modelled times of two MLPerf Tiny models on every board, beside times that others measured.

usage: python benchmarks/board_model.py [--write] [--data FOLDER] [--cores A,B]

Compiles each model for one board a core and counts its layers. With --write the counts are kept in
benchmarks/board_counts.json, those of cores not asked for stay, and docs/board-model.md is written
from the counts and the constants in the board files (``board_page``), beside what others measured
(``measured_latency``).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from board_page import COUNTS, PAGE, page  # noqa: E402  (beside this file)
from measured_latency import compared  # noqa: E402

from tinytailor.compiler import compile_model, load_model  # noqa: E402
from tinytailor.compiler.execute import random_inputs  # noqa: E402
from tinytailor.compiler.mcu.backend import interface_of  # noqa: E402
from tinytailor.compiler.mcu.build import build  # noqa: E402
from tinytailor.compiler.mcu.measure import constants_of  # noqa: E402
from tinytailor.compiler.mcu.run import invoke  # noqa: E402
from tinytailor.compiler.project import load_project  # noqa: E402
from tinytailor.targets import (  # noqa: E402
    Board,
    cross_toolchain,
    default_runner,
    load_target,
    require_board,
)
from tinytailor.targets.files import write_text  # noqa: E402

MODELS = {"kws": "kws_int8.tflite", "ic": "ic_resnet8_int8.tflite"}
COUNTED_ON = {
    "cortex-m0plus": "nucleo-g0b1re",
    "cortex-m3": "nucleo-f207zg",
    "cortex-m4": "nucleo-l4r5zi",
    "cortex-m7": "nucleo-h743zi",
    "cortex-m33": "nrf5340dk",
    "cortex-m55": "mps3-an547",
}


def counted(model: Path, name: str, board: Board) -> dict[str, Any]:
    """Sizes, and counts of one inference.

    A layer is core cycles, flash loads, bytes read from flash, bytes of constants, bytes of code
    that caches fetch again.
    """
    runner = default_runner(board)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / name
        manifest = compile_model(load_model(model), board, folder, name, model_sha256="")
        network = interface_of(load_project(folder))
        image = build(folder, name, board, cross_toolchain(), Path(scratch), runner)
        (result,), _ = invoke(image, network, board, random_inputs(network.graph, 1), count=True)
    layers = []
    for node, function in network.functions.items():
        counts, constants = result.counts[node], constants_of(function.symbol, image.sizes)
        read = counts.flash_loads, counts.flash_bytes
        layers.append([counts.core_cycles, *read, constants, list(counts.fetched)])
    return {
        "board": board.name,
        **{key: manifest[key] for key in ("arena_bytes", "ram_bytes", "flash_bytes")},
        "instructions": sum(counts.instructions for counts in result.counts.values()),
        "glue_core_cycles": result.counts[""].core_cycles,
        "layers": layers,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the counts and the page")
    default = Path(os.environ.get("TINYTAILOR_DATA", HERE.parent.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--cores", default=",".join(COUNTED_ON), help="none: only the page")
    options = parser.parse_args()
    kept: dict[str, Any] = json.loads(COUNTS.read_text()) if COUNTS.exists() else {"counts": {}}
    kept["toolchain"] = cross_toolchain().version
    kept["measured"] = compared(options.data)
    for core in options.cores.split(",") if options.cores != "none" else ():
        board = require_board(load_target(COUNTED_ON[core]), "counting layers")
        for name, file in MODELS.items():
            counts = counted(options.data / "mlperf_tiny" / "models" / file, name, board)
            kept["counts"][f"{name} {core}"] = counts
            print(f"{name} {core}: {counts['instructions']:,} instructions", flush=True)
    order = [f"{name} {core}" for core in COUNTED_ON for name in MODELS]
    kept["counts"] = {key: kept["counts"][key] for key in order if key in kept["counts"]}
    if options.write:
        write_text(COUNTS, json.dumps(kept, indent=1) + "\n")
        write_text(PAGE, page(kept))
    else:
        print(page(kept))


if __name__ == "__main__":
    main()
