#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Networks of the kinds that users bring: whether they compile, what they take, how exact they are.

usage: python benchmarks/ordinary_models.py [--write] [--data FOLDER] [--networks A,B]

Each is compiled for the first of BOARDS that it fits, where the project is run on the emulated core
and equals the integer graph; the integer graph is compared with LiteRT or onnxruntime on real
inputs. With --write the numbers are kept in ordinary_models/counts.json and docs/benchmarks.md is
written again; those of networks that were not asked for stay.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests"
sys.path[:0] = [str(HERE), str(HERE / "ordinary_models")]
sys.path[:0] = [str(TESTS / "zoo"), str(TESTS / "conformance")]

from mcu_models import BASELINE, data_folder  # noqa: E402
from mcu_page import ORDINARY, PAGE, page  # noqa: E402
from ordinary_gaps import layer_by_layer, outputs  # noqa: E402
from ordinary_networks import Opened, opened  # noqa: E402
from real_inputs import CALIBRATED, INPUTS  # noqa: E402

from tinytailor.compiler import compile_model  # noqa: E402
from tinytailor.compiler.ir import Graph  # noqa: E402
from tinytailor.targets import cross_toolchain, load_target  # noqa: E402
from tinytailor.targets.errors import BudgetError  # noqa: E402
from tinytailor.targets.files import write_text  # noqa: E402

BOARDS = ("nucleo-f446re", "nucleo-l4r5zi")
COLUMNS = ("flash_bytes", "arena_bytes", "ram_bytes", "instructions")
COMPARED = 20  # inputs
FEW = 2  # of them, for the tests


def measure(name: str, data: Path) -> dict[str, Any]:
    """Everything that the page says of a network."""
    with tempfile.TemporaryDirectory(prefix="tinytailor.") as folder:
        network = opened(name, data, Path(folder))
        row: dict[str, Any] = {"operators": network.operators, "macs": network.graph.macs}
        row.update(compiled(network.graph, Path(folder)))
        row.update(exactness(network, COMPARED))
        if network.file.suffix == ".tflite":  # the same on every computer
            row["few"] = exactness(network, FEW)
        return row


def compiled(graph: Graph, folder: Path) -> dict[str, Any]:
    """Sizes on the first board with room; compile_model runs the project there, or refuses."""
    for board in BOARDS:
        with suppress(BudgetError):
            project = folder / board
            manifest = compile_model(graph, load_target(board), project, "network", model_sha256="")
            return {"board": board, **{column: manifest[column] for column in COLUMNS}}
    raise BudgetError(f"{graph.name} fits none of {', '.join(BOARDS)}")


def exactness(network: Opened, count: int) -> dict[str, Any]:
    """The graph beside the runtime of its file, on the first ``count`` inputs."""
    real = network.real[:count]
    layers = layer_by_layer(network.graph, network.file, real)
    return {
        "inputs": count,
        "outputs": asdict(outputs(network.graph, network.file, real)),
        "layers": asdict(layers.gap),
        "compared": len(layers.gaps),
        "differing": layers.differing(),
        "skipped": dict(sorted(Counter(layers.skipped).items())),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the counts, write the page")
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--networks", default=",".join(INPUTS))
    options = parser.parse_args()
    counts = json.loads(ORDINARY.read_text()) if ORDINARY.exists() else {"networks": {}}
    counts.update(toolchain=cross_toolchain().version, calibrated=CALIBRATED)
    for name in options.networks.split(","):
        row = counts["networks"][name] = measure(name, options.data)
        print(f"{name}: {row}", flush=True)
    if options.write:
        counts["networks"] = {n: counts["networks"][n] for n in INPUTS if n in counts["networks"]}
        write_text(ORDINARY, json.dumps(counts, indent=1) + "\n")
        write_text(PAGE, page(json.loads(BASELINE.read_text())))


if __name__ == "__main__":
    main()
