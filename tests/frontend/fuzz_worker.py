# SPDX-License-Identifier: Apache-2.0
"""Imports damaged model files, one after another, in a process that may die of one.

The name of the file at work is printed before it is read, and what became of it after, so that
whoever reads along knows which file ended the process. A file that takes too long ends it, too; so
does one that asks for more memory than the limit.

Some of the files that are imported are compiled for this machine under the sanitizers in the end,
and their C must compute what their graphs do.

usage: python tests/frontend/fuzz_worker.py FOLDER FIRST COUNT COMPILED
FOLDER holds the sound files; file number n is made from seed n; COMPILED graphs at most become C.
"""

from __future__ import annotations

import faulthandler
import resource
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "compiler"))

from check_random_networks import check_graphs
from mutations import changed_onnx, changed_tflite, flipped

from tinytailor.compiler import load_model
from tinytailor.compiler.execute import execute
from tinytailor.compiler.ir import Graph, check
from tinytailor.targets.errors import InputError

SECONDS = 20  # for one file; none takes more than one
MEMORY = 6 << 30
LISTING = "nothing was written"  # the only message of several lines lists operators
BATCH = 20
MAX_BYTES = 30_000  # of tensors of a graph that is compiled
MAX_MACS = 20_000_000  # larger graphs are not executed


def damaged(folder: Path, seed: int) -> tuple[str, bytes]:
    """(ending, bytes) of file number ``seed``: a third has flipped bytes, the rest other fields."""
    rng = np.random.default_rng(seed)
    sound = sorted(folder.iterdir())
    path = sound[int(rng.integers(len(sound)))]
    data = path.read_bytes()
    if rng.random() < 1 / 3:
        return path.suffix, flipped(data, rng)
    change = changed_onnx if path.suffix == ".onnx" else changed_tflite
    return path.suffix, change(data, rng)


def outcome(path: Path, seed: int, graphs: dict[int, Graph]) -> str:
    try:
        graph = replace(load_model(path), name=f"g{seed}")
    except InputError as error:
        sentence = str(error)
        assert sentence.count("\n") == 0 or LISTING in sentence, sentence
        return f"InputError {sentence!r}"
    check(graph)
    run(graph)
    if graph.macs <= MAX_MACS and sum(t.bytes for t in graph.tensors.values()) < MAX_BYTES:
        graphs[seed] = graph
    return "Graph"


def compiled(graphs: dict[int, Graph], folder: Path) -> None:
    """The C of graphs computes what they mean, without undefined behaviour."""
    seeds = list(graphs)
    for first in range(0, len(seeds), BATCH):
        some = seeds[first : first + BATCH]
        print(f"file {some[0]} to {some[-1]}, compiled", flush=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as name:
            check_graphs([graphs[s] for s in some], some, "nucleo-l4r5zi", Path(name), host=True)


def run(graph: Graph) -> None:
    """Whatever is imported has a meaning."""
    if graph.macs > MAX_MACS:
        return
    rng = np.random.default_rng(0)
    shapes = [graph.tensors[name].shape for name in graph.inputs]
    inputs = [rng.integers(-128, 128, (2, *shape[1:])).astype(np.int8) for shape in shapes]
    for name, array in zip(graph.outputs, execute(graph, *inputs), strict=True):
        assert array.shape[1:] == graph.tensors[name].shape[1:], (name, array.shape)
        assert array.dtype == graph.tensors[name].dtype, (name, array.dtype)


def main(folder: Path, first: int, count: int, to_compile: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    graphs: dict[int, Graph] = {}
    work = folder.parent / f"damaged-{first}"
    for seed in range(first, first + count):
        print(f"file {seed}", flush=True)
        suffix, data = damaged(folder, seed)
        path = work.with_suffix(suffix)
        path.write_bytes(data)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            print(outcome(path, seed, graphs), flush=True)
        except Exception as error:
            print(f"{type(error).__name__} {str(error)[:300]!r}", flush=True)
        faulthandler.cancel_dump_traceback_later()
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    chosen = sorted(graphs)[:: max(1, len(graphs) // max(1, to_compile))][:to_compile]
    compiled({seed: graphs[seed] for seed in chosen}, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
