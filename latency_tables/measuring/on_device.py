# SPDX-License-Identifier: Apache-2.0
"""Cycles of a real core: operators that were counted, run again by the firmware of the board.

    rows with counts -> one firmware image, written once -> each operator on REPEATS inputs, several
    runs each -> the same rows with `measured` cycles

The integers that come back are compared with those of the operator's meaning; what computes others
on the board is a failure. A port, a board or a cable that fails ends the whole run, since no
operator is to blame; what was finished is kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from tinytailor.compiler.ir import Graph
from tinytailor.compiler.opkey import example_graph
from tinytailor.latency_tables.measuring.inputs import KERNEL, REPEATS, inputs_of
from tinytailor.latency_tables.table.latency_table import Entry, Failure
from tinytailor.latency_tables.table.records import Measurement
from tinytailor.targets import Board, Call, Toolchain, serial
from tinytailor.targets.errors import CheckError, InputError, ToolError

if TYPE_CHECKING:
    from tinytailor.compiler.mcu.kernel_image import KernelImage

FIRMWARE_KERNELS = 96  # writing a board takes seconds, and its flash only so many times


def measured(
    rows: Sequence[Measurement],
    board: Board,
    toolchain: Toolchain,
    port: str,
    *,
    simulated: bool = False,
) -> list[Entry]:
    """``rows`` with the cycles that the board at ``port`` counts, or why one could not run.

    A simulated device is refused unless it is wanted: its cycles are no measurement.
    """
    from tinytailor.compiler.mcu.kernel_image import kernel_image  # loads TVM

    graphs = [(f"{KERNEL}{i}", example_graph(row.key)) for i, row in enumerate(rows)]
    with tempfile.TemporaryDirectory(prefix="tinytailor-measure-") as folder:
        try:
            image = kernel_image(graphs, board, toolchain, Path(folder), f"serial:{port}")
        except ToolError as error:  # too large for the flash beside the harness
            if len(rows) == 1:
                return [Failure(rows[0].key, str(error))]
            half = len(rows) // 2
            parts = (rows[:half], rows[half:])
            found = [measured(p, board, toolchain, port, simulated=simulated) for p in parts]
            return [entry for part in found for entry in part]
        with serial.ready(image.elf, board, port) as device:
            if device.hello.simulated and not simulated:
                raise ToolError(
                    f"the device on {port} is QEMU, whose cycles are no time; measure with --on "
                    "qemu instead"
                )
            return [_one(device, image, i, row, graphs[i][1]) for i, row in enumerate(rows)]


def _one(
    device: serial.Connection, image: KernelImage, index: int, row: Measurement, graph: Graph
) -> Entry:
    calls = [image.call(index, inputs_of(row.key, repeat)) for repeat in range(REPEATS)]
    try:
        results = device.run(calls)
    except (CheckError, InputError) as error:
        return Failure(row.key, str(error))
    for call, result in zip(calls, results, strict=True):
        if result.outputs[0] != expected(graph, call):
            return Failure(row.key, f"{device.name} computes other integers than the operator")
    cycles = [count for result in results for count in result.measured_cycles]
    return replace(
        row,
        cycles=float(median(cycles)),  # the first run has cold caches
        repeats=len(cycles),
        spread_cycles=max(cycles) - min(cycles),
    )


def expected(graph: Graph, call: Call) -> bytes:
    """What the operator computes from the inputs of a call."""
    from tinytailor.compiler.execute import execute

    arrays = []
    for name, buffer in zip(graph.inputs, call.buffers, strict=False):
        tensor = graph.tensors[name]
        assert buffer.data is not None
        arrays.append(np.frombuffer(buffer.data, tensor.dtype).reshape(tensor.shape))
    (output,) = execute(graph, *arrays)
    return output.tobytes()
