# SPDX-License-Identifier: Apache-2.0
"""A project on a real board at a serial port: its outputs, and the cycles that its runs took."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tinytailor.compiler.execute import equal, execute
from tinytailor.compiler.mcu.interface import entry
from tinytailor.compiler.mcu.run import invocations, stacked
from tinytailor.compiler.project import Project
from tinytailor.targets import Board, CallResult, Toolchain, cross_flags, serial

REPEATS = 20


@dataclass(frozen=True, slots=True)
class BoardRun:
    """``hello`` is the device; ``results`` and ``outputs`` go by input."""

    hello: serial.Hello
    results: list[CallResult]
    outputs: list[np.ndarray]


def run_on_board(
    project: Project[Board],
    toolchain: Toolchain,
    port: str,
    inputs: Sequence[np.ndarray],
    *,
    repeats: int,
) -> BoardRun:
    """Build the firmware with the project as it lies in its folder, write it, run batches on it."""
    folder, graph, name, board = project.folder, project.graph, project.name, project.target
    functions = {entry(name): len(graph.inputs) + len(graph.outputs)}
    with tempfile.TemporaryDirectory(prefix="tinytailor-firmware-") as scratch:
        elf = Path(scratch) / f"{name}-{board.name}.elf"
        include = ("-I", str(folder.resolve()))
        sources = [folder / f"{name}.c"]
        serial.build_firmware(sources, functions, elf, board, toolchain, extra_flags=include)
        calls = invocations(graph, name, inputs)
        with serial.ready(elf, board, port) as device:
            results = device.run(calls, repeats=repeats)
            return BoardRun(device.hello, results, stacked(graph, results))


def measure_on_board(
    project: Project[Board], toolchain: Toolchain, port: str, inputs: Sequence[np.ndarray]
) -> dict[str, Any]:
    """What ``profile`` says of the first input: cycles and time of ``REPEATS`` runs, and outputs.

    An emulated machine has cycles but no time.
    """
    first = [array[:1] for array in inputs]
    run = run_on_board(project, toolchain, port, first, repeats=REPEATS)
    cycles, hello = run.results[0].measured_cycles, run.hello
    least, middle, most = min(cycles), round(median(cycles)), max(cycles)

    def milliseconds(count: int) -> float | None:
        return None if hello.simulated else count / hello.clock_hz * 1e3

    return {
        "on": f"{port} ({'QEMU' if hello.simulated else hello.board})",
        "simulated": hello.simulated,
        "counter": hello.counter,
        "clock_hz": hello.clock_hz,
        "firmware": hello.build_id.hex(),
        "repeats": len(cycles),
        "cycles": middle,
        "cycles_least": least,
        "cycles_most": most,
        "latency_ms": milliseconds(middle),
        "latency_ms_least": milliseconds(least),
        "latency_ms_most": milliseconds(most),
        "stack_seen_bytes": run.results[0].stack_bytes,
        "bit_exact": equal(run.outputs, execute(project.graph, *first)),
        "toolchain": toolchain.version,
        "flags": " ".join(cross_flags(project.target, toolchain)),
    }
