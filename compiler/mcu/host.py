# SPDX-License-Identifier: Apache-2.0
"""Runs the emitted C on this machine: the same file, its plain C forms, with a small driver."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinytailor.compiler.ir import Graph
from tinytailor.compiler.mcu.interface import border_names
from tinytailor.targets import Toolchain
from tinytailor.targets.errors import CheckError
from tinytailor.targets.toolchain import compile_or_raise

SANITIZED = 16  # so many inputs also run under the address and undefined-behaviour sanitizers

_DRIVER = """\
#include <stdio.h>
#include "{name}.h"
{buffers}
int main(void)
{{
    while ({reads}) {{
        {name}_invoke({arguments});
        {writes}
    }}
    return 0;
}}
"""


def run_on_host(
    project: Path, graph: Graph, name: str, toolchain: Toolchain, inputs: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Outputs of the emitted C for batches of its inputs.

    CheckError where a sanitizer finds fault or the program does not end well.
    """
    with tempfile.TemporaryDirectory(prefix="tinytailor-host-") as scratch:
        folder = Path(scratch)
        (folder / "driver.c").write_text(_driver(graph, name))
        plain = build_on_host(project, folder, name, toolchain, ("-O2",), "plain")
        if toolchain.name != "zig":  # its sanitizer run-time is not part of the package
            flags = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
            checked = build_on_host(project, folder, name, toolchain, flags, "sanitized")
            _run(checked, graph, [array[:SANITIZED] for array in inputs])
        return _run(plain, graph, inputs)


def _driver(graph: Graph, name: str) -> str:
    roles = border_names(graph)
    sizes = {roles[t]: graph.tensors[t].bytes for t in roles}
    reads = [f"fread({roles[t]}, {sizes[roles[t]]}, 1, stdin) == 1" for t in graph.inputs]
    writes = [f"fwrite({roles[t]}, {sizes[roles[t]]}, 1, stdout);" for t in graph.outputs]
    return _DRIVER.format(
        name=name,
        buffers="\n".join(
            f"static {graph.tensors[t].dtype}_t {role}[{graph.tensors[t].elements}];"
            for t, role in roles.items()
        ),
        reads=" && ".join(reads),
        arguments=", ".join(roles[t] for t in (*graph.inputs, *graph.outputs)),
        writes=" ".join(writes),
    )


def build_on_host(
    project: Path, folder: Path, name: str, toolchain: Toolchain, flags: Sequence[str], out: str
) -> Path:
    """The program ``out`` of driver.c in ``folder`` and the network's C in ``project``."""
    program = folder / out
    source = project.resolve() / f"{name}.c"
    command = [*toolchain.command, "-std=c99", *flags, "-I", str(project.resolve())]
    command += [str(folder / "driver.c"), str(source), "-o", str(program)]
    compile_or_raise(command, f"building {name} for the host", folder)
    return program


def _run(program: Path, graph: Graph, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    count = len(inputs[0])
    stream = b"".join(array[i].tobytes() for i in range(count) for array in inputs)
    done = subprocess.run([str(program)], input=stream, capture_output=True)
    if done.returncode != 0:
        lines = [
            s
            for s in done.stderr.decode(errors="replace").splitlines()
            if "ERROR" in s or "runtime error" in s
        ]
        raise CheckError(
            f"the emitted C failed on the host (exit {done.returncode}): "
            f"{lines[0].strip() if lines else 'no message'}"
        )
    sizes = [graph.tensors[t].bytes for t in graph.outputs]
    table = np.frombuffer(done.stdout, np.int8).reshape(count, sum(sizes))
    outputs, start = [], 0
    for tensor, size in zip(graph.outputs, sizes, strict=True):
        part = np.ascontiguousarray(table[:, start : start + size])
        shape = (count, *graph.tensors[tensor].shape[1:])
        outputs.append(part.view(graph.tensors[tensor].dtype).reshape(shape))
        start += size
    return outputs
