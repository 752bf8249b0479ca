# SPDX-License-Identifier: Apache-2.0
"""What an emitted network costs: its sizes, and the counts of one run, in all and layer by layer.

cycles of a layer = board model(core cycles, flash reads, bytes of constants, code fetched again)
cycles            = sum over the layers + core * cycles of the function that calls them

A board whose measurements agree with two sets of constants has a range of times as well.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.compiler.execute import equal, execute
from tinytailor.compiler.ir import Node
from tinytailor.compiler.mcu.build import Image, build
from tinytailor.compiler.mcu.energy import energy_record
from tinytailor.compiler.mcu.interface import Interface
from tinytailor.compiler.mcu.run import invoke
from tinytailor.targets import (
    Board,
    CallResult,
    Counts,
    ImageSizes,
    LatencyModel,
    Toolchain,
    cross_flags,
)
from tinytailor.targets.errors import CheckError, InputError
from tinytailor.targets.stack import worst_stack


@dataclass(frozen=True, slots=True)
class _Seen:
    """Runs of an image: counts of the first, whether all computed the graph, most stack used."""

    first: CallResult
    exact: bool
    stack_bytes: int


def measure(
    folder: Path,
    network: Interface,
    board: Board,
    toolchain: Toolchain,
    inputs: Sequence[np.ndarray],
    runner: str,
) -> dict[str, Any]:
    """Sizes, and counts of the first input on ``runner``; all inputs are checked."""
    with tempfile.TemporaryDirectory(prefix="tinytailor-build-") as scratch:
        image = build(folder, network.name, board, toolchain, Path(scratch), runner)
        seen = _run(image, network, board, inputs)
        stack = worst_stack(image.elf, network.entry)
    if seen.stack_bytes > stack:
        raise CheckError(
            f"{network.graph.name} used {seen.stack_bytes} bytes of stack on the {runner}, more "
            f"than the {stack} that its code can use; this is a defect of tinytailor, please "
            "report it with the model"
        )
    cost = _cost(network, board, seen.first, image.sizes)
    return {
        "arena_bytes": _arena_bytes(folder, network.name),
        "stack_bytes": stack,
        "stack_seen_bytes": seen.stack_bytes,
        "ram_static_bytes": image.sizes.ram_static_bytes,
        "ram_bytes": image.sizes.ram_static_bytes + stack,
        "flash_bytes": image.sizes.flash_bytes,
        "macs": network.graph.macs,
        **cost,
        **energy_record(board, cost["latency_ms"], supply=None),
        "bit_exact": seen.exact,
        "provenance": _provenance(board, toolchain, runner),
    }


def _run(image: Image, network: Interface, board: Board, inputs: Sequence[np.ndarray]) -> _Seen:
    """The first input is counted; the others, which cost more counted, are not."""
    first = [array[:1] for array in inputs]
    results, outputs = invoke(image, network, board, first, count=True)
    exact, stack = equal(outputs, execute(network.graph, *first)), results[0].stack_bytes
    if len(inputs[0]) > 1:
        rest = [array[1:] for array in inputs]
        more, others = invoke(image, network, board, rest, count=False)
        stack = max(stack, *(result.stack_bytes for result in more))
        exact = exact and equal(others, execute(network.graph, *rest))
    return _Seen(results[0], exact, stack)


def _provenance(board: Board, toolchain: Toolchain, runner: str) -> dict[str, Any]:
    return {
        "runner": runner,
        "instructions": "emulated, counted exactly",
        "stack": "worst case of the call graph, without interrupts",
        **_latency_provenance(board),
        "toolchain": toolchain.version,
        "flags": " ".join(cross_flags(board, toolchain)),
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
    network: Interface, board: Board, result: CallResult, sizes: ImageSizes
) -> dict[str, Any]:
    """Total and per-layer cost of one counted run; without a cycle model there are no times."""
    layers, total = [], 0.0
    for index, node in enumerate(network.graph.nodes):
        if node.name in network.functions and node.name in result.counts:
            layer, cycles = _layer(network, node, board, result.counts[node.name], sizes)
            layers.append({"index": index, **layer})
            total += cycles or 0.0
    glue = result.counts.get("", Counts(0, 0, 0, 0))
    timed = glue.core_cycles is not None and board.latency_model is not None
    glue_cycles = board.latency.core * (glue.core_cycles or 0) if timed else 0.0
    total += glue_cycles
    return {
        "latency_ms": _milliseconds(total, board) if timed else None,
        **(_latency_range(network, board, result, sizes) if timed else {}),
        "cycles": round(total) if timed else None,
        "instructions": sum(counts.instructions for counts in result.counts.values()),
        "glue": {
            "cycles": round(glue_cycles) if timed else None,
            "instructions": glue.instructions,
        },
        "layers": layers,
    }


def _latency_range(
    network: Interface, board: Board, result: CallResult, sizes: ImageSizes
) -> dict[str, list[float]]:
    """The lower and the higher time of two sets of constants; nothing where there is one."""

    def total(model: LatencyModel) -> float:
        cycles = 0.0
        for name, counts in result.counts.items():
            if name in network.functions:
                constants = constants_of(network.functions[name].symbol, sizes)
                cycles += _cycles(model, counts, constants) or 0.0
            else:
                cycles += model.core * (counts.core_cycles or 0)
        return cycles

    between = board.latency.range_of(total)
    if between is None:
        return {}
    return {"latency_range_ms": [_milliseconds(cycles, board) for cycles in between]}


def _layer(
    network: Interface, node: Node, board: Board, counts: Counts, sizes: ImageSizes
) -> tuple[dict[str, Any], float | None]:
    """What a manifest says of a layer, and its modelled cycles before they are rounded."""
    function = network.functions[node.name]
    constants = constants_of(function.symbol, sizes)
    cycles = None if board.latency_model is None else _cycles(board.latency, counts, constants)
    record = {
        "name": node.name,
        "op": node.op.kind,
        "variant": function.variant,
        "macs": network.graph.node_macs(node),
        "cycles": None if cycles is None else round(cycles),
        "instructions": counts.instructions,
        "latency_ms": None if cycles is None else _milliseconds(cycles, board),
        "flash_read_bytes": counts.flash_bytes,
        "code": function.code,
        "code_bytes": sum(sizes.symbols[name][1] for name in {function.symbol, function.code}),
        "constant_bytes": constants,
        "out_shape": list(network.graph.tensors[node.output].shape),
    }
    return record, cycles


def _milliseconds(cycles: float, board: Board) -> float:
    """With 12 digits, a small part of a cycle: beyond them is the noise of sums."""
    return float(f"{cycles / board.clock_hz * 1e3:.12g}")


def constants_of(symbol: str, sizes: ImageSizes) -> int:
    """Of the arrays of a layer, which are named after its function."""
    return sum(size for name, (_, size) in sizes.symbols.items() if name.startswith(f"{symbol}_"))


def _cycles(model: LatencyModel, counts: Counts, constants: int) -> float | None:
    """Modelled cycles of a layer, None where the core has no cycle model."""
    if counts.core_cycles is None:
        return None
    data = counts.flash_loads, counts.flash_bytes
    return model.cycles(counts.core_cycles, *data, constants, counts.fetched)
