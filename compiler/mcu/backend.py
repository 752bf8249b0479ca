# SPDX-License-Identifier: Apache-2.0
"""The back end for microcontrollers: emit, verify and profile a project."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.compiler.execute import execute
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.kernels.registry import has_kernel
from tinytailor.compiler.mcu import project, source
from tinytailor.compiler.mcu.host import run_on_host
from tinytailor.compiler.mcu.on_board import run_on_board
from tinytailor.compiler.memory.aliasing import computing
from tinytailor.compiler.memory.plan import MemoryPlan
from tinytailor.compiler.project import GENERATOR, tool_version
from tinytailor.targets import (
    Board,
    CallResult,
    Counts,
    Toolchain,
    cross_flags,
    cross_toolchain,
    default_runner,
    host_toolchain,
    serial_port,
)
from tinytailor.targets.errors import BudgetError, CheckError, InputError
from tinytailor.targets.stack import worst_stack

RUNNERS = ("host", "emulator", "qemu")
CHECKED_INPUTS = 3  # seeded random inputs every emitted project is run on before it is handed out
SMALLEST_STACK = 1408  # bytes the runner wants: stack, its guard, gaps around the buffers
Progress = Callable[[str], None]


def check_supported(graph: Graph) -> None:
    """InputError that lists every operator without a kernel for microcontrollers."""
    missing = [n for n in computing(graph) if not has_kernel(n.op.kind)]
    if missing:
        lines = "\n".join(f"  {node.op.kind}  node {node.name}" for node in missing)
        raise InputError(
            f"{len(missing)} operators have no kernel for microcontrollers:\n{lines}\n"
            "nothing was written."
        )


def emit(
    graph: Graph, board: Board, folder: Path, name: str, *, model_sha256: str, on_step: Progress
) -> dict[str, Any]:
    """Write the project into the empty ``folder``, run it, return the manifest."""
    check_supported(graph)
    toolchain = cross_toolchain()
    on_step("lowering operators")
    network = source.lower_graph(graph, board.core.isa, name)
    _check_fits(network, board)
    on_step("writing C")
    project.write_sources(network, board, toolchain, folder, model_sha256)
    inputs = random_inputs(graph, CHECKED_INPUTS)
    codes = {node: kernel.code for node, kernel in network.kernels.items()}
    runner = default_runner(board)
    on_step(f"building and running on {_called(runner)}")
    measured = measure(folder, graph, name, board, toolchain, inputs, codes, runner)
    if not measured["bit_exact"]:
        raise CheckError(
            f"the code emitted for {graph.name} does not compute the integers of its graph on "
            f"{_called(runner)}; this is a defect of tinytailor, please report it with the model"
        )
    return {
        "generator": GENERATOR,
        "version": tool_version(),
        "name": name,
        "target": board.name,
        "kind": "mcu",
        "model_sha256": model_sha256,
        "inputs": source.border_records(graph, graph.inputs),
        "outputs": source.border_records(graph, graph.outputs),
        "arena_lower_bound_bytes": network.plan.lower_bound_bytes,
        "arena_optimal": network.plan.optimal,
        "arena": arena_records(network.plan),
        "constant_bytes": network.constant_bytes,
        "float_layers": source.float_layers(graph),
        **measured,
    }


def arena_records(plan: MemoryPlan) -> list[dict[str, Any]]:
    """The buffers of the arena: where they lie, from which node to which, and what lies in them."""
    records = []
    for buffer in sorted(plan.buffers, key=lambda b: (b.first, plan.start(b), b.name)):
        end = buffer.start + buffer.bytes
        inside = [
            tensor
            for tensor, at in plan.place.items()
            if at.home == buffer.home and buffer.start <= at.offset < end
        ]
        records.append(
            {
                "name": buffer.name,
                "offset": plan.start(buffer),
                "bytes": buffer.bytes,
                "first": buffer.first,
                "last": buffer.last,
                "tensors": inside,
            }
        )
    return records


def _called(runner: str) -> str:
    return {"emulator": "the emulator", "qemu": "QEMU"}.get(runner, runner)


def _check_fits(network: source.Network, board: Board) -> None:
    """BudgetError where the memories of the board cannot hold the network, whatever the code."""
    graph = network.graph
    border = sum(graph.tensors[t].bytes for t in (*graph.inputs, *graph.outputs))
    ram = network.plan.arena_bytes + border + SMALLEST_STACK
    for what, needed, memory in (
        ("RAM (arena, input, output and stack)", ram, board.ram.bytes),
        ("flash for constants alone", network.constant_bytes, board.flash.bytes),
    ):
        if needed > memory:
            raise BudgetError(
                f"{graph.name} does not fit {board.name}: it needs {needed:,} bytes of {what}, "
                f"the board has {memory:,}"
            )


def random_inputs(graph: Graph, count: int, seed: int = 0) -> list[np.ndarray]:
    """Seeded int8 inputs over the whole range, one batch a graph input."""
    rng = np.random.default_rng(seed)
    shapes = [graph.tensors[t].shape for t in graph.inputs]
    return [rng.integers(-128, 128, (count, *shape[1:])).astype(np.int8) for shape in shapes]


def measure(
    folder: Path,
    graph: Graph,
    name: str,
    board: Board,
    toolchain: Toolchain,
    inputs: Sequence[np.ndarray],
    codes: Mapping[str, str],
    runner: str,
) -> dict[str, Any]:
    """Sizes, and counts of the first input on ``runner``; all inputs are checked.

    ``codes``: node -> the function that holds its code, which nodes may share.
    """
    with tempfile.TemporaryDirectory(prefix="tinytailor-build-") as scratch:
        image = project.build(folder, name, board, toolchain, Path(scratch), runner)
        first = [array[:1] for array in inputs]
        results, outputs = project.invoke(image, graph, name, board, first, count=True)
        stack = worst_stack(image.elf, f"{name}_invoke")
        seen = results[0].stack_bytes
        exact = _equal(outputs, execute(graph, *first))
        if len(inputs[0]) > 1:
            rest = [array[1:] for array in inputs]
            more, others = project.invoke(image, graph, name, board, rest, count=False)
            seen = max(seen, *(r.stack_bytes for r in more))
            exact = exact and _equal(others, execute(graph, *rest))
    if seen > stack:
        raise CheckError(
            f"{graph.name} used {seen} bytes of stack on the {runner}, more than the {stack} that "
            "its code can use; this is a defect of tinytailor, please report it with the model"
        )
    sizes = image.sizes
    return {
        "arena_bytes": _arena_bytes(folder, name),
        "stack_bytes": stack,
        "stack_seen_bytes": seen,
        "ram_static_bytes": sizes.ram_static_bytes,
        "ram_bytes": sizes.ram_static_bytes + stack,
        "flash_bytes": sizes.flash_bytes,
        "macs": graph.macs,
        **_cost(graph, name, board, results[0], sizes.symbols, codes),
        "bit_exact": exact,
        "provenance": {
            "runner": runner,
            "instructions": "emulated, counted exactly",
            "stack": "worst case of the call graph, without interrupts",
            **_latency_provenance(board),
            "toolchain": toolchain.version,
            "flags": " ".join(cross_flags(board, toolchain)),
        },
    }


def _latency_provenance(board: Board) -> dict[str, Any]:
    if board.latency_model is None:
        none = f"none: no cycle model of {board.core.name}"
        return {
            "latency": none,
            "board_model": none,
            "board_trust": none,
            "board_calibrated": False,
        }
    return {
        "latency": "modelled: core cycle model and board constants on the emulated run",
        "board_model": board.latency.source,
        "board_trust": board.latency.trust,
        "board_calibrated": board.latency.calibrated,
    }


def _arena_bytes(folder: Path, name: str) -> int:
    """As the emitted header says it: what a user's firmware will reserve."""
    for line in (folder / f"{name}.h").read_text().splitlines():
        if line.startswith(f"#define {name.upper()}_ARENA_BYTES "):
            return int(line.split()[2])
    raise InputError(
        f"{folder / f'{name}.h'}: no {name.upper()}_ARENA_BYTES; compile the model again"
    )


def _cost(
    graph: Graph,
    name: str,
    board: Board,
    result: CallResult,
    symbols: Mapping[str, tuple[int, int]],
    codes: Mapping[str, str],
) -> dict[str, Any]:
    """Per-layer and total cost of one counted run; without a cycle model there are no times."""
    functions = source.layer_symbols(graph, name)
    layers, total = [], 0.0
    for node in graph.nodes:
        counts = result.counts.get(node.name)
        if node.name not in functions or counts is None:
            continue
        symbol = functions[node.name]
        constants = sum(
            size for name_, (_, size) in symbols.items() if name_.startswith(f"{symbol}_")
        )
        cycles = _cycles(board, counts, constants)
        total += cycles or 0.0
        layers.append(
            {
                "name": node.name,
                "op": node.op.kind,
                "macs": graph.node_macs(node),
                "cycles": None if cycles is None else round(cycles),
                "instructions": counts.instructions,
                "latency_ms": None if cycles is None else cycles / board.clock_hz * 1e3,
                "flash_read_bytes": counts.flash_bytes,
                "code": codes[node.name],
                "code_bytes": sum(symbols[f][1] for f in {symbol, codes[node.name]}),
                "constant_bytes": constants,
                "out_shape": list(graph.tensors[node.output].shape),
            }
        )
    glue = result.counts.get("", Counts(0, 0, 0, 0))
    timed = glue.core_cycles is not None and board.latency_model is not None
    glue_cycles = board.latency.core * (glue.core_cycles or 0) if timed else 0.0
    total += glue_cycles
    return {
        "latency_ms": total / board.clock_hz * 1e3 if timed else None,
        "cycles": round(total) if timed else None,
        "instructions": sum(c.instructions for c in result.counts.values()),
        "glue": {
            "cycles": round(glue_cycles) if timed else None,
            "instructions": glue.instructions,
        },
        "layers": layers,
    }


def _cycles(board: Board, counts: Counts, constant_bytes: int) -> float | None:
    """Modelled cycles of a layer, None where the core has no cycle model."""
    if counts.core_cycles is None or board.latency_model is None:
        return None
    return board.latency.cycles(
        counts.core_cycles, counts.flash_loads, counts.flash_bytes, constant_bytes
    )


def _equal(outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(outputs, expected, strict=True))


def run_outputs(
    folder: Path, graph: Graph, name: str, board: Board, on: str, inputs: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Outputs of the project as it lies in ``folder`` for a batch, on a runner or serial port."""
    if on == "host":
        return run_on_host(folder, graph, name, host_toolchain(), inputs)
    port = serial_port(on)
    if port is not None:
        toolchain = cross_toolchain()
        run = run_on_board(folder, graph, name, board, toolchain, port, inputs, repeats=1)
        return run.outputs
    if on not in RUNNERS:
        known = ", ".join((*RUNNERS, "serial:PORT"))
        raise InputError(f"a microcontroller project runs on one of {known}, not on {on}")
    with tempfile.TemporaryDirectory(prefix="tinytailor-build-") as scratch:
        image = project.build(folder, name, board, cross_toolchain(), Path(scratch), on)
        return project.invoke(image, graph, name, board, inputs, count=False)[1]
