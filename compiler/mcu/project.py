# SPDX-License-Identifier: Apache-2.0
"""The emitted project of a microcontroller: its files, building it, running it.

A project is C text and nothing else that matters: verifying and profiling build what lies in the
folder, so a changed file is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinytailor.compiler.ir import Graph
from tinytailor.compiler.mcu import source
from tinytailor.compiler.mcu.comments import arena_table
from tinytailor.compiler.project import tool_version
from tinytailor.targets import (
    Board,
    Buffer,
    Call,
    CallResult,
    ImageSizes,
    Toolchain,
    build_image,
    cross_flags,
    image_sizes,
    linked_for,
    run_on,
)
from tinytailor.targets.firmware import linker_script, startup_source

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")  # emitted C has none of these


@dataclass(frozen=True, slots=True)
class Image:
    """A linked project: what to run and where, and the sizes of the program with its main."""

    elf: Path
    runner: str
    sizes: ImageSizes


def write_sources(
    network: source.Network,
    board: Board,
    toolchain: Toolchain,
    folder: Path,
    model_sha256: str,
) -> None:
    """Write the project into the empty ``folder``; the manifest comes after measuring."""
    graph, name = network.graph, network.name
    context = {
        "name": name,
        "NAME": name.upper(),
        "version": tool_version(),
        "target": board.name,
        "core": board.core.name,
        "inputs": source.border_records(graph, graph.inputs),
        "outputs": source.border_records(graph, graph.outputs),
        "parameters": source.invoke_parameters(graph),
        "arguments": ", ".join(source.border_names(graph).values()),
        "macs": graph.macs,
        "constant_bytes": network.constant_bytes,
        "arena_bytes": network.plan.arena_bytes,
        "arena_table": arena_table(network.plan),
        "macros": source.macros(graph),
        "helpers": source.helper_texts(network.kernels.values()),
        "layers": source.layer_texts(network),
        "calls": source.calls(network),
        "model_sha256": model_sha256,
        "cc": "arm-none-eabi-gcc" if toolchain.name != "zig" else "python3 -m ziglang cc",
        "cflags": " ".join(cross_flags(board, toolchain)),
        "warnings": " ".join(WARNINGS),
    }
    environment = source.environment()
    for template, target in (
        ("model.h", f"{name}.h"),
        ("model.c", f"{name}.c"),
        ("main.c", "main.c"),
        ("Makefile", "Makefile"),
        ("README.md", "README.md"),
    ):
        (folder / target).write_text(environment.get_template(template).render(context))
    (folder / "startup.c").write_text(startup_source())
    (folder / f"{board.name}.ld").write_text(linker_script(board))


def build(
    project: Path, name: str, board: Board, toolchain: Toolchain, folder: Path, runner: str
) -> Image:
    """Compile and link the project as it lies in ``project`` into ``folder``, to run on ``runner``.

    The image that is run leaves out main.c, whose input and output would take the RAM that the
    runner needs for its own; the sizes are those of the whole program.
    """
    _, sizes = build_program(project, name, board, toolchain, folder)
    bare = folder / f"{name}-run.elf"
    linked, keep = linked_for(runner, board), (f"{name}_invoke",)
    flags = _include(project)
    build_image([project / f"{name}.c"], bare, linked, toolchain, extra_flags=flags, keep=keep)
    return Image(bare, runner, sizes)


def build_program(
    project: Path, name: str, board: Board, toolchain: Toolchain, folder: Path
) -> tuple[Path, ImageSizes]:
    """The whole program, main.c included, as a user's `make` builds it, and its sizes."""
    program = folder / f"{name}.elf"
    sources = [project / "main.c", project / f"{name}.c"]
    build_image(sources, program, board, toolchain, extra_flags=_include(project))
    return program, image_sizes(program)


def _include(project: Path) -> tuple[str, str]:
    return "-I", str(project.resolve())


def invoke(
    image: Image,
    graph: Graph,
    name: str,
    board: Board,
    inputs: Sequence[np.ndarray],
    *,
    count: bool,
) -> tuple[list[CallResult], list[np.ndarray]]:
    """Run the network on the image's runner for batches of its inputs: results and outputs."""
    calls = invocations(graph, name, inputs)
    regions = {symbol: node for node, symbol in source.layer_symbols(graph, name).items()}
    results = run_on(image.runner, image.elf, board, calls, regions=regions, count=count)
    return results, stacked(graph, results)


def invocations(graph: Graph, name: str, inputs: Sequence[np.ndarray]) -> list[Call]:
    """One call of the network for each row of its inputs."""
    sizes = [graph.tensors[t].bytes for t in graph.outputs]
    return [
        Call(
            f"{name}_invoke",
            (
                *(Buffer(array[i].nbytes, array[i].tobytes(), constant=True) for array in inputs),
                *(Buffer(size, read_back=True) for size in sizes),
            ),
        )
        for i in range(len(inputs[0]))
    ]


def stacked(graph: Graph, results: Sequence[CallResult]) -> list[np.ndarray]:
    """The outputs of all calls, one batch a graph output."""
    outputs = []
    for k, tensor in enumerate(graph.outputs):
        dtype = graph.tensors[tensor].dtype
        rows = [np.frombuffer(result.outputs[k], dtype) for result in results]
        outputs.append(np.stack(rows).reshape(-1, *graph.tensors[tensor].shape[1:]))
    return outputs
