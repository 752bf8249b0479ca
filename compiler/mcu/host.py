# SPDX-License-Identifier: Apache-2.0
"""Runs the emitted C on this machine: the same file, its plain C forms, with a small driver.

    driver HOW < rows of inputs > rows of outputs

HOW has a letter for each input and output:

    q   its integers
    r   real numbers (float32), which the emitted functions quantize and dequantize
    i   real numbers of an input, whose integers are written before the outputs
    -   nothing
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
        {echoes}
        {writes}
    }}
    return 0;
}}
"""
_INPUT = """
static {dtype}_t {role}[{elements}];
static float {role}_real[{elements}];

static int read_{role}(char how)
{{
    if (how == 'q') {{
        return fread({role}, sizeof {role}, 1, stdin) == 1;
    }}
    if (how == '-') {{
        return 1;
    }}
    if (fread({role}_real, sizeof {role}_real, 1, stdin) != 1) {{
        return 0;
    }}
    {function}({role}_real, {role});
    return 1;
}}

static void echo_{role}(char how)
{{
    if (how == 'i') {{
        fwrite({role}, sizeof {role}, 1, stdout);
    }}
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
_REAL_OUTPUT = """ else if (how == 'r') {{
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


def quantized_on_host(
    project: Path, graph: Graph, name: str, toolchain: Toolchain, reals: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """What the emitted C makes of real numbers for some of the inputs."""
    how = "".join("i" if tensor in reals else "-" for tensor in graph.inputs)
    how += "-" * len(graph.outputs)
    given = [np.ascontiguousarray(rows, np.float32) for rows in reals.values()]
    with tempfile.TemporaryDirectory(prefix="tinytailor-host-") as scratch:
        program = host_program(project, graph, name, toolchain, Path(scratch))
        return _rows(program, how, given, [graph.tensors[tensor] for tensor in reals])


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
    echoes = [f"echo_{roles[t]}(how[{i}]);" for i, t in enumerate(graph.inputs)]
    first = len(graph.inputs)
    writes = [f"write_{roles[t]}(how[{i}]);" for i, t in enumerate(graph.outputs, first)]
    return _DRIVER.format(
        name=name,
        borders="".join(texts),
        reads=" && ".join(reads),
        echoes=" ".join(echoes),
        arguments=", ".join(roles[t] for t in (*graph.inputs, *graph.outputs)),
        writes=" ".join(writes),
    )


def _reader(tensor: Tensor, role: str, name: str) -> str:
    function = quantizer(name, role)
    return _INPUT.format(role=role, elements=tensor.elements, dtype=tensor.dtype, function=function)


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
    """Outputs for batches of inputs, integers or real numbers (float32); with ``real``, outputs
    that have a scale are real numbers (float32), too."""
    leaving = [graph.tensors[t] for t in graph.outputs]
    types = ["float32" if real and t.dtype == "int8" else t.dtype for t in leaving]
    how = "".join("r" if a.dtype == np.float32 else "q" for a in inputs)
    how += "".join("r" if dtype == "float32" else "q" for dtype in types)
    written = [replace(t, dtype=dtype) for t, dtype in zip(leaving, types, strict=True)]
    return _rows(program, how, inputs, written)


def _rows(
    program: Path, how: str, inputs: Sequence[np.ndarray], written: Sequence[Tensor]
) -> list[np.ndarray]:
    """What the driver writes for batches of inputs: a batch for each of the tensors."""
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
    table = np.frombuffer(done.stdout, np.uint8).reshape(count, sum(t.bytes for t in written))
    outputs, start = [], 0
    for tensor in written:
        part = np.ascontiguousarray(table[:, start : start + tensor.bytes])
        outputs.append(part.view(tensor.dtype).reshape(count, *tensor.shape[1:]))
        start += tensor.bytes
    return outputs
