# SPDX-License-Identifier: Apache-2.0
"""Random networks: numpy, and the optimized network's C on this machine and on a core, agree.

Many networks share one build: each is its own C file as it is emitted, compiled strictly, under the
sanitizers on this machine and as usual for the board.

usage: python tests/compiler/check_random_networks.py [--board NAME] SEED [COUNT]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from random_networks import describe, random_network

from tinytailor.compiler.execute import execute
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.mcu.interface import border_names
from tinytailor.compiler.mcu.program import lower_graph
from tinytailor.compiler.mcu.project import WARNINGS, write_sources
from tinytailor.compiler.passes import optimize
from tinytailor.compiler.testing.examples import random_inputs
from tinytailor.targets import (
    Buffer,
    Call,
    build_image,
    cross_toolchain,
    default_runner,
    host_toolchain,
    linked_for,
    load_target,
    run_on,
)
from tinytailor.targets.toolchain import compile_or_raise

SAMPLES = 4
# Not optimized: the sanitizers check what the C means; the board's build is the optimized one.
SANITIZERS = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_HELPER = re.compile(r"\btt_\w+(?=\()")
Batches = list[list[np.ndarray]]  # one a graph, in them one array an input or output


def emit(graphs: Sequence[Graph], board_name: str, folder: Path) -> Path:
    """A C file that includes those of all graphs; starting a compiler for each takes too long.

    Helpers, which the files have in common, get the name of their graph.
    """
    board, toolchain, lines = load_target(board_name), cross_toolchain(), []
    for graph in graphs:
        optimized, _ = optimize(graph)
        network = lower_graph(optimized, board.core.isa, graph.name)
        write_sources(network, board, toolchain, folder, model_sha256="")
        helpers = sorted(set(_HELPER.findall((folder / f"{graph.name}.c").read_text())))
        lines += [f"#define {helper} {graph.name}_{helper}" for helper in helpers]
        lines += [f'#include "{graph.name}.c"', *(f"#undef {helper}" for helper in helpers)]
    path = folder / "all.c"
    path.write_text("\n".join((*lines, "")))
    return path


def on_board(source: Path, graphs: Sequence[Graph], inputs: Batches, board_name: str) -> Batches:
    """Outputs of all graphs on the emulated core, all in one image."""
    board, folder = load_target(board_name), source.parent
    runner = default_runner(board)
    entries = [f"{graph.name}_invoke" for graph in graphs]
    image = folder / "image.elf"
    build_image(
        [source],
        image,
        linked_for(runner, board),
        cross_toolchain(),
        extra_flags=("-I", str(folder), *WARNINGS),
        keep=entries,
    )
    calls = [
        Call(
            entry,
            (
                *(Buffer(batch[s].nbytes, batch[s].tobytes()) for batch in batches),
                *(Buffer(graph.tensors[t].bytes, read_back=True) for t in graph.outputs),
            ),
        )
        for entry, graph, batches in zip(entries, graphs, inputs, strict=True)
        for s in range(SAMPLES)
    ]
    results = iter(run_on(runner, image, board, calls, count=False))
    outputs = []
    for graph in graphs:
        samples = [next(results).outputs for _ in range(SAMPLES)]
        outputs.append(_arrays(graph, samples))
    return outputs


def on_host(source: Path, graphs: Sequence[Graph], inputs: Batches) -> Batches:
    """Outputs of all graphs on this machine under the sanitizers, all in one program."""
    folder = source.parent
    driver, program = folder / "driver.c", folder / "program"
    driver.write_text(_driver(graphs))
    command = [*host_toolchain().command, "-std=c99", *SANITIZERS, *WARNINGS, "-I", str(folder)]
    command += [str(driver), str(source), "-o", str(program)]
    compile_or_raise(command, "building random networks for the host", folder)
    stream = b"".join(
        batch[s].tobytes() for batches in inputs for s in range(SAMPLES) for batch in batches
    )
    done = subprocess.run([str(program)], input=stream, capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[:3000]
    outputs, at = [], 0
    for graph in graphs:
        samples = []
        for _ in range(SAMPLES):
            sample = []
            for tensor in graph.outputs:
                size = graph.tensors[tensor].bytes
                sample.append(done.stdout[at : at + size])
                at += size
            samples.append(tuple(sample))
        outputs.append(_arrays(graph, samples))
    return outputs


def _driver(graphs: Sequence[Graph]) -> str:
    heads = "".join(f'#include "{graph.name}.h"\n' for graph in graphs)
    parts = [f"#include <stdio.h>\n#include <stdlib.h>\n{heads}"]
    for graph in graphs:
        roles = border_names(graph)
        # as the caller's, between red zones of the sanitizer
        tensors = [graph.tensors[t] for t in roles]
        buffers = [f"    static {t.dtype}_t {roles[t.name]}[{t.elements}];" for t in tensors]
        reads = [
            f"        if (fread({roles[t]}, sizeof {roles[t]}, 1, stdin) != 1) {{\n"
            "            exit(2);\n        }"
            for t in graph.inputs
        ]
        arguments = ", ".join(roles[t] for t in (*graph.inputs, *graph.outputs))
        writes = [
            f"        fwrite({roles[t]}, sizeof {roles[t]}, 1, stdout);" for t in graph.outputs
        ]
        body = [*reads, f"        {graph.name}_invoke({arguments});", *writes]
        loop = [f"    for (int s = 0; s < {SAMPLES}; ++s) {{", *body, "    }"]
        lines = [f"static void {graph.name}(void)", "{", *buffers, *loop, "}\n"]
        parts.append("\n".join(lines))
    calls = "".join(f"    {graph.name}();\n" for graph in graphs)
    parts.append(f"int main(void)\n{{\n{calls}    return 0;\n}}\n")
    return "\n".join(parts)


def _arrays(graph: Graph, samples: Sequence[tuple[bytes, ...]]) -> list[np.ndarray]:
    return [
        np.stack([np.frombuffer(sample[k], graph.tensors[tensor].dtype) for sample in samples])
        for k, tensor in enumerate(graph.outputs)
    ]


def check_networks(seeds: Sequence[int], board_name: str, folder: Path, *, host: bool) -> None:
    """AssertionError naming the seed, and the network, that differs somewhere."""
    graphs = [random_network(seed) for seed in seeds]
    check_graphs(graphs, seeds, board_name, folder, host=host)


def check_graphs(
    graphs: Sequence[Graph], seeds: Sequence[int], board_name: str, folder: Path, *, host: bool
) -> None:
    """AssertionError naming the graph that differs somewhere; ``seeds`` are those of its inputs."""
    inputs = [
        random_inputs(graph, SAMPLES, seed) for graph, seed in zip(graphs, seeds, strict=True)
    ]
    source = emit(graphs, board_name, folder)
    found = {board_name: on_board(source, graphs, inputs, board_name)}
    if host:
        found["the host"] = on_host(source, graphs, inputs)
    for k, (seed, graph) in enumerate(zip(seeds, graphs, strict=True)):
        expected = execute(graph, *inputs[k])
        for where, outputs in found.items():
            for tensor, ours, meant in zip(graph.outputs, outputs[k], expected, strict=True):
                differing = int((ours != meant.reshape(ours.shape)).sum())
                assert not differing, (
                    f"{differing} of {meant.size} elements of {tensor} differ on {where}; "
                    f"python tests/compiler/check_random_networks.py --board {board_name} {seed}\n"
                    f"{describe(graph)}"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("count", type=int, nargs="?", default=1)
    parser.add_argument("--board", default="nucleo-l4r5zi")
    parser.add_argument("--batch", type=int, default=25)
    options = parser.parse_args()
    if options.count == 1:
        print(describe(random_network(options.seed)))
    for first in range(options.seed, options.seed + options.count, options.batch):
        last = min(first + options.batch, options.seed + options.count)
        with tempfile.TemporaryDirectory() as folder:
            check_networks(range(first, last), options.board, Path(folder), host=True)
        print(f"{first} to {last - 1}: exact", flush=True)


if __name__ == "__main__":
    sys.exit(main())
