# SPDX-License-Identifier: Apache-2.0
"""The back end for microcontrollers: graph -> program -> C -> image -> outputs and counts.

A project is built and run before it is handed out, and only if it computes its graph.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.execute import random_inputs
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.kernels.registry import has_kernel
from tinytailor.compiler.mcu import report
from tinytailor.compiler.mcu.build import build
from tinytailor.compiler.mcu.host import (
    host_program,
    quantized_on_host,
    run_on_host,
    run_program,
)
from tinytailor.compiler.mcu.interface import Function, Interface, symbol
from tinytailor.compiler.mcu.manifest import manifest_of
from tinytailor.compiler.mcu.measure import measure
from tinytailor.compiler.mcu.on_board import measure_on_board, run_on_board
from tinytailor.compiler.mcu.program import Program, lower_graph
from tinytailor.compiler.mcu.project import write_sources
from tinytailor.compiler.mcu.quantizing import quantized_on_core
from tinytailor.compiler.mcu.run import invoke
from tinytailor.compiler.ops import tabled
from tinytailor.compiler.passes import PIPELINE, Pass
from tinytailor.compiler.project import Project
from tinytailor.targets import (
    ANY_PORT,
    RUNNERS,
    Board,
    called,
    cross_toolchain,
    default_runner,
    host_toolchain,
    serial_port,
)
from tinytailor.targets.errors import BudgetError, CheckError, InputError

CHECKED_INPUTS = 3  # seeded random inputs every emitted project is run on before it is handed out
SMALLEST_STACK = 1408  # bytes the runner wants: stack, its guard, gaps around the buffers
HOST = "host"


class Microcontrollers:
    """A ``compiler.backend.Backend``."""

    kind: ClassVar[str] = "mcu"
    pipeline: ClassVar[tuple[Pass, ...]] = PIPELINE
    steps: ClassVar[int] = 3
    runners: ClassVar[tuple[str, ...]] = (HOST, *RUNNERS, ANY_PORT)

    def operators(self) -> Mapping[str, str]:
        return {kind: "" for kind in tabled() if has_kernel(kind)}

    def check(self, graph: Graph, target: Board) -> None:
        missing = [node for node in graph.nodes if not has_kernel(node.op.kind)]
        if missing:
            lines = "\n".join(f"  {node.op.kind}  node {node.name}" for node in missing)
            raise InputError(
                f"{len(missing)} operators have no kernel for microcontrollers:\n{lines}\n"
                "nothing was written."
            )

    def emit(
        self,
        graph: Graph,
        target: Board,
        folder: Path,
        name: str,
        *,
        model_sha256: str,
        on_step: Callable[[str], None],
    ) -> dict[str, Any]:
        toolchain, runner = cross_toolchain(), default_runner(target)
        on_step("lowering operators")
        program = lower_graph(graph, target.core.isa, name)
        check_fits(program, target)
        on_step("writing C")
        write_sources(program, target, toolchain, folder, model_sha256)
        on_step(f"building and running on {called(runner)}")
        inputs = random_inputs(graph, CHECKED_INPUTS)
        measured = measure(folder, program.interface, target, toolchain, inputs, runner)
        if not measured["bit_exact"]:
            raise CheckError(
                f"the code emitted for {graph.name} does not compute the integers of its graph on "
                f"{called(runner)}; this is a defect of tinytailor, please report it with the model"
            )
        return {**manifest_of(program, target, model_sha256), **measured}

    default_runner = staticmethod(default_runner)

    def run(
        self, project: Project[Board], on: str, inputs: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        folder, name = project.folder, project.name
        if on == HOST:
            return run_on_host(folder, project.graph, name, host_toolchain(), inputs)
        toolchain, port = cross_toolchain(), serial_port(on)
        if port is not None:
            return run_on_board(project, toolchain, port, inputs, repeats=1).outputs
        with tempfile.TemporaryDirectory(prefix="tinytailor-build-") as scratch:
            image = build(folder, name, project.target, toolchain, Path(scratch), on)
            return invoke(image, interface_of(project), project.target, inputs, count=False)[1]

    def compute(
        self, project: Project[Board], inputs: Sequence[np.ndarray], built: Path, *, real: bool
    ) -> list[np.ndarray]:
        name, graph = project.name, project.graph
        program = host_program(project.folder, graph, name, host_toolchain(), built)
        return run_program(program, graph, inputs, real=real)

    def quantize(
        self, project: Project[Board], on: str, inputs: Sequence[np.ndarray | None]
    ) -> list[np.ndarray | None]:
        """On the host for boards at a port, whose firmware has the network alone."""
        given = {
            tensor: rows
            for tensor, rows in zip(project.graph.inputs, inputs, strict=True)
            if rows is not None
        }
        if on == HOST or serial_port(on) is not None:
            toolchain = host_toolchain()
            made = quantized_on_host(project.folder, project.graph, project.name, toolchain, given)
        else:
            made = quantized_on_core(project, on, list(given), list(given.values()))
        found = dict(zip(given, made, strict=True))
        return [found.get(tensor) for tensor in project.graph.inputs]

    def check_files(self, project: Project[Board]) -> None:
        """Nothing to do: all of a project in C that matters is compiled and so shows in outputs."""

    def profile(
        self, project: Project[Board], on: str | None, inputs: Sequence[np.ndarray]
    ) -> dict[str, Any]:
        board, port = project.target, serial_port(on)
        runner = default_runner(board) if on is None or port is not None else on
        if runner not in RUNNERS:
            known = ", ".join((*RUNNERS, ANY_PORT))
            raise InputError(f"profile runs on one of {known}, not on {runner!r}")
        toolchain, network = cross_toolchain(), interface_of(project)
        there: dict[str, Any] = {}
        if port is not None:
            there["measured"] = measure_on_board(project, toolchain, port, inputs)
        return {**there, **measure(project.folder, network, board, toolchain, inputs, runner)}

    def next_commands(self, folder: Path) -> tuple[str, ...]:
        return f"tinytailor verify {folder}", f"tinytailor profile {folder}"

    summary = staticmethod(report.summary)
    quantities = staticmethod(report.quantities)
    details = staticmethod(report.details)
    sections = staticmethod(report.sections)


def interface_of(project: Project[Board]) -> Interface:
    """A compiled project from outside."""
    layers = {layer["name"]: layer for layer in project.manifest["layers"]}
    functions = {}
    for index, node in enumerate(project.graph.nodes):
        if layer := layers.get(node.name):
            name = symbol(project.name, index, node)
            functions[node.name] = Function(name, layer["code"], layer["variant"])
    return Interface(project.name, project.graph, functions)


def check_fits(program: Program, board: Board) -> None:
    """BudgetError where the memories of the board cannot hold the network, whatever the code."""
    graph = program.graph
    border = sum(graph.tensors[t].bytes for t in (*graph.inputs, *graph.outputs))
    ram = program.plan.arena_bytes + border + SMALLEST_STACK
    for what, needed, memory in (
        ("RAM (arena, input, output and stack)", ram, board.ram.bytes),
        ("flash for constants alone", program.constant_bytes, board.flash.bytes),
    ):
        if needed > memory:
            raise BudgetError(
                f"{graph.name} does not fit {board.name}: it needs {needed:,} bytes of {what}, "
                f"the board has {memory:,}"
            )
