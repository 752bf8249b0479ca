# SPDX-License-Identifier: Apache-2.0
"""Runs the emitted quantization of real inputs, <name>_quantize_input, on the emulated core."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinytailor.compiler.mcu.build import build
from tinytailor.compiler.mcu.interface import border_names
from tinytailor.compiler.mcu.real_functions import quantizer
from tinytailor.compiler.project import Project
from tinytailor.targets import Board, Buffer, Call, cross_toolchain, run_on


def quantized_on_core(
    project: Project[Board], runner: str, tensors: Sequence[str], x: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The integers of rows of real numbers, for some of the inputs."""
    graph, board, name = project.graph, project.target, project.name
    roles = border_names(graph)
    symbols = [quantizer(name, roles[tensor]) for tensor in tensors]
    toolchain, results = cross_toolchain(), []
    with tempfile.TemporaryDirectory(prefix="tinytailor-build-") as scratch:
        image = build(project.folder, name, board, toolchain, Path(scratch), runner, symbols)
        for tensor, symbol, rows in zip(tensors, symbols, x, strict=True):
            shape = graph.tensors[tensor].shape
            numbers = np.ascontiguousarray(rows, np.float32)
            calls = [
                Call(
                    symbol,
                    (
                        Buffer(row.nbytes, row.tobytes(), constant=True),
                        Buffer(graph.tensors[tensor].bytes, read_back=True),
                    ),
                )
                for row in numbers
            ]
            found = run_on(image.runner, image.elf, board, calls, regions={}, count=False)
            dtype = graph.tensors[tensor].dtype
            parts = [np.frombuffer(one.outputs[0], dtype) for one in found]
            results.append(np.stack(parts).reshape(-1, *shape[1:]))
    return results
