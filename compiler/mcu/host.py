# SPDX-License-Identifier: Apache-2.0
"""Runs the emitted C on this machine: the same file, its plain C forms, with a small driver.

    driver HOW < rows of inputs > rows of outputs

HOW has a letter for each input and output: q for its integers, r for real numbers (float32), which
the emitted functions quantize and dequantize.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinytailor.compiler.ir import Graph, Tensor
from tinytailor.compiler.mcu.interface import border_names
from tinytailor.compiler.mcu.real_functions import dequantizer, quantizer
from tinytailor.targets import Toolchain
from tinytailor.targets.errors import CheckError
from tinytailor.targets.toolchain import compile_or_raise

SANITIZED = 16  # so many inputs also run under the address and undefined-behaviour sanitizers

_DRIVER = """\
#include <stdio.h>
#include "{name}.h"
{borders}
int main(int words, char **word)
{{
    const char *how = words == 2 ? word[1] : "";
    while ({reads}) {{
        {name}_invoke({arguments});
        {writes}
    }}
    return 0;
}}
"""
_INPUT = """
static int8_t {role}[{elements}];
static float {role}_real[{elements}];

static int read_{role}(char how)
{{
    if (how == 'q') {{
        return fread({role}, sizeof {role}, 1, stdin) == 1;
    }}
    if (fread({role}_real, sizeof {role}_real, 1, stdin) != 1) {{
        return 0;
    }}
    {function}({role}_real, {role});
    return 1;
}}
"""
_OUTPUT = """
static {dtype}_t {role}[{elements}];
{real}
static void write_{role}(char how)
{{
    if (how == 'q') {{
        fwrite({role}, sizeof {role}, 1, stdout);
    }}{otherwise}
}}
"""
_REAL_OUTPUT = """ else {{
        {function}({role}, {role}_real);
        fwrite({role}_real, sizeof {role}_real, 1, stdout);
    }}"""


def run_on_host(
    project: Path, graph: Graph, name: str, toolchain: Toolchain, inputs: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Outputs of the emitted C for batches of its inputs.

    CheckError where a sanitizer finds fault or the program does not end well.
    """
    with tempfile.TemporaryDirectory(prefix="tinytailor-host-") as scratch:
        folder = Path(scratch)
        plain = host_program(project, graph, name, toolchain, folder)
        if toolchain.name != "zig":  # its sanitizer run-time is not part of the package
            flags = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
            checked = build_on_host(project, folder, name, toolchain, flags, "sanitized")
            run_program(checked, graph, [array[:SANITIZED] for array in inputs])
        return run_program(plain, graph, inputs)


def host_program(project: Path, graph: Graph, name: str, toolchain: Toolchain, built: Path) -> Path:
    """The driver and the network's C as they are now, as a program in the folder ``built``, which
    may hold it already."""
    sources = b"".join((project / f"{name}{end}").read_bytes() for end in (".h", ".c"))
    program = built / f"plain-{hashlib.sha256(sources).hexdigest()[:16]}"
    if not program.exists():
        (built / "driver.c").write_text(_driver(graph, name))
        build_on_host(project, built, name, toolchain, ("-O2",), "building").replace(program)
    return program


def _driver(graph: Graph, name: str) -> str:
    roles = border_names(graph)
    texts = [_reader(graph.tensors[t], roles[t], name) for t in graph.inputs]
    texts += [_writer(graph.tensors[t], roles[t], name) for t in graph.outputs]
    reads = [f"read_{roles[t]}(how[{i}])" for i, t in enumerate(graph.inputs)]
    first = len(graph.inputs)
    writes = [f"write_{roles[t]}(how[{i}]);" for i, t in enumerate(graph.outputs, first)]
    return _DRIVER.format(
        name=name,
        borders="".join(texts),
        reads=" && ".join(reads),
        arguments=", ".join(roles[t] for t in (*graph.inputs, *graph.outputs)),
        writes=" ".join(writes),
    )


def _reader(tensor: Tensor, role: str, name: str) -> str:
    return _INPUT.format(role=role, elements=tensor.elements, function=quantizer(name, role))


def _writer(tensor: Tensor, role: str, name: str) -> str:
    """Only int8 has a scale; wider outputs are indices."""
    real = otherwise = ""
    if tensor.dtype == "int8":
        real = f"static float {role}_real[{tensor.elements}];\n"
        otherwise = _REAL_OUTPUT.format(role=role, function=dequantizer(name, role))
    return _OUTPUT.format(
        role=role, elements=tensor.elements, dtype=tensor.dtype, real=real, otherwise=otherwise
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


def run_program(
    program: Path, graph: Graph, inputs: Sequence[np.ndarray], *, real: bool = False
) -> list[np.ndarray]:
    """Outputs for batches of inputs, int8 or real numbers (float32); with ``real``, outputs that
    have a scale are real numbers (float32), too."""
    leaving = [graph.tensors[t] for t in graph.outputs]
    types = [np.dtype(np.float32 if real and t.dtype == "int8" else t.dtype) for t in leaving]
    how = "".join("r" if a.dtype == np.float32 else "q" for a in inputs)
    how += "".join("r" if dtype == np.float32 else "q" for dtype in types)
    count = len(inputs[0])
    stream = b"".join(array[i].tobytes() for i in range(count) for array in inputs)
    done = subprocess.run([str(program), how], input=stream, capture_output=True)
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
    sizes = [t.elements * dtype.itemsize for t, dtype in zip(leaving, types, strict=True)]
    table = np.frombuffer(done.stdout, np.int8).reshape(count, sum(sizes))
    outputs, start = [], 0
    for tensor, dtype, size in zip(leaving, types, sizes, strict=True):
        part = np.ascontiguousarray(table[:, start : start + size])
        outputs.append(part.view(dtype).reshape(count, *tensor.shape[1:]))
        start += size
    return outputs
