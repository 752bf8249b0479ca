# SPDX-License-Identifier: Apache-2.0
"""Printing a program: the files of a project for a microcontroller.

A project is C text and nothing else that matters: verifying and profiling build what lies in the
folder, so a changed file is seen.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import jinja2

from tinytailor.compiler.mcu import c_text
from tinytailor.compiler.mcu.comments import arena_table, comment_text
from tinytailor.compiler.mcu.interface import (
    border_names,
    border_records,
    classes_of,
    invoke_parameters,
)
from tinytailor.compiler.mcu.program import Program
from tinytailor.compiler.mcu.real_functions import real_functions, real_texts
from tinytailor.compiler.project import tool_version
from tinytailor.targets import Board, Toolchain, cross_flags
from tinytailor.targets.firmware import linker_script, startup_source
from tinytailor.targets.toolchain import boot_source

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")  # emitted C has none of these


@lru_cache
def templates() -> jinja2.Environment:
    """Templates of this package; an undefined name is an error."""
    folder = files("tinytailor.compiler.mcu") / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(folder)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["comment"] = comment_text
    return environment


def write_sources(
    program: Program,
    board: Board,
    toolchain: Toolchain,
    folder: Path,
    model_sha256: str,
) -> None:
    """Write the project into the empty ``folder``; the manifest comes after measuring."""
    graph, name = program.graph, program.name
    context = {
        "name": name,
        "NAME": name.upper(),
        "version": tool_version(),
        "target": board.name,
        "core": board.core.name,
        "inputs": border_records(graph, graph.inputs),
        "outputs": border_records(graph, graph.outputs),
        "parameters": invoke_parameters(graph),
        "arguments": ", ".join(border_names(graph).values()),
        "macs": graph.macs,
        "constant_bytes": program.constant_bytes,
        "arena_bytes": program.plan.arena_bytes,
        "arena_table": arena_table(program.plan),
        "macros": c_text.macros(graph),
        "helpers": c_text.helper_texts(program.kernels.values()),
        "layers": c_text.layer_texts(program),
        "reals": real_functions(graph, name),
        "real_texts": real_texts(graph, name),
        "classes": classes_of(graph),
        "calls": c_text.calls(program),
        "model_sha256": model_sha256,
        "cc": "arm-none-eabi-gcc" if toolchain.name != "zig" else "python3 -m ziglang cc",
        "cflags": " ".join(cross_flags(board, toolchain)),
        "warnings": " ".join(WARNINGS),
        "boot": board.boot is not None,
    }
    for template, target in (
        ("model.h", f"{name}.h"),
        ("model.c", f"{name}.c"),
        ("main.c", "main.c"),
        ("Makefile", "Makefile"),
        ("README.md", "README.md"),
    ):
        (folder / target).write_text(templates().get_template(template).render(context))
    (folder / "startup.c").write_text(startup_source())
    if board.boot:
        (folder / "boot.c").write_text(boot_source(board, toolchain))
    (folder / f"{board.name}.ld").write_text(linker_script(board))
