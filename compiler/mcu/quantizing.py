# SPDX-License-Identifier: Apache-2.0
"""Runs the emitted quantization of real inputs: <name>_quantize_input on the host or a device."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinytailor.compiler.ir import Graph
from tinytailor.compiler.mcu.build import build
from tinytailor.compiler.mcu.host import build_on_host
from tinytailor.compiler.mcu.interface import border_names
from tinytailor.compiler.mcu.real_functions import quantizer
from tinytailor.compiler.project import Project
from tinytailor.targets import (
    Board,
    Buffer,
    Call,
    Toolchain,
    cross_toolchain,
    host_toolchain,
    run_on,
)
from tinytailor.targets.errors import CheckError

_DRIVER = """\
#include <stdio.h>
#include "{name}.h"
static float x[{elements}];
static int8_t q[{elements}];
int main(void)
{{
    while (fread(x, sizeof x, 1, stdin) == 1) {{
        {symbol}(x, q);
        fwrite(q, sizeof q, 1, stdout);
    }}
    return 0;
}}
"""


def quantized_on_host(project: Project[Board], tensor: str, x: np.ndarray) -> np.ndarray:
    """int8 of rows ``x`` of real numbers for an input."""
    shape, toolchain = project.graph.tensors[tensor].shape, host_toolchain()
    with tempfile.TemporaryDirectory(prefix="tinytailor-host-") as scratch:
        driver = _DRIVER.format(
            name=project.name,
            elements=project.graph.tensors[tensor].elements,
            symbol=symbol_of(project.graph, project.name, tensor),
        )
        program = _program(project, Path(scratch), driver, toolchain)
        stream = np.ascontiguousarray(x, np.float32).tobytes()
        done = subprocess.run([str(program)], input=stream, capture_output=True)
    if done.returncode != 0:
        raise CheckError(f"the emitted C failed on the host (exit {done.returncode})")
    return np.frombuffer(done.stdout, np.int8).reshape(-1, *shape[1:])


def _program(project: Project[Board], folder: Path, driver: str, toolchain: Toolchain) -> Path:
    (folder / "driver.c").write_text(driver)
    return build_on_host(project.folder, folder, project.name, toolchain, ("-O2",), "quantize")


def quantized_on_core(
    project: Project[Board], runner: str, tensors: Sequence[str], x: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The same for several inputs, on the emulated core."""
    graph, board, name = project.graph, project.target, project.name
    symbols = [symbol_of(graph, name, tensor) for tensor in tensors]
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
            parts = [np.frombuffer(one.outputs[0], np.int8) for one in found]
            results.append(np.stack(parts).reshape(-1, *shape[1:]))
    return results


def symbol_of(graph: Graph, name: str, tensor: str) -> str:
    """The function that quantizes an input."""
    return quantizer(name, border_names(graph)[tensor])
