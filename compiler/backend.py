# SPDX-License-Identifier: Apache-2.0
"""What a back end is: everything from the integer graph to a device of one kind, as one object.

    graph --check, pipeline--> optimized graph --emit--> a project in a folder, its manifest
    project --run--> outputs      --profile--> fresh measurements
    manifest --summary, quantities, sections--> what people read

A new back end is a folder in this package and a line in ``BACKENDS``; what a target is, is said in
``tinytailor.targets``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from tinytailor.compiler.fpga.backend import FpgaEngine
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.mcu.backend import Microcontrollers
from tinytailor.compiler.passes import Pass
from tinytailor.compiler.project import Project
from tinytailor.compiler.sections import Quantity, Section
from tinytailor.targets import ANY_PORT, Target, serial_port
from tinytailor.targets.names import no_such

T = TypeVar("T", bound=Target, contravariant=True)


class Backend(Protocol[T]):
    """The back end for targets of one kind."""

    kind: ClassVar[str]  # of the targets
    pipeline: ClassVar[tuple[Pass, ...]]  # what it wants done to a graph
    steps: ClassVar[int]  # how many steps ``emit`` announces
    runners: ClassVar[tuple[str, ...]]  # where projects run; ANY_PORT for a board at any port

    def operators(self) -> Mapping[str, str]:
        """Kind of each operator that it runs -> its limits there, "" for none."""

    def check(self, graph: Graph, target: T) -> None:
        """InputError listing what keeps ``graph`` from running on ``target``, whatever its size."""

    def emit(
        self,
        graph: Graph,
        target: T,
        folder: Path,
        name: str,
        *,
        model_sha256: str,
        on_step: Callable[[str], None],
    ) -> dict[str, Any]:
        """Write the project of a checked graph into the empty ``folder``; its manifest."""

    def default_runner(self, target: T) -> str:
        """Where a project runs when nobody says."""

    def run(self, project: Project[T], on: str, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Outputs of the project as it lies in its folder, on one of ``runners``."""

    def compute(
        self, project: Project[T], inputs: Sequence[np.ndarray], built: Path, *, real: bool
    ) -> list[np.ndarray]:
        """Outputs of the project's code on this machine for rows of integers, or of real numbers
        (float32), in the order of the device; with ``real`` as real numbers where they have a
        scale. What is built for that is kept in the folder ``built``."""

    def quantize(
        self, project: Project[T], on: str, inputs: Sequence[np.ndarray | None]
    ) -> list[np.ndarray | None]:
        """What the project's own code makes of real ``inputs``, rows in the order of the device;
        None where there is none, or no such code."""

    def check_files(self, project: Project[T]) -> None:
        """CheckError for a changed file of a project whose outputs are right nevertheless."""

    def profile(
        self, project: Project[T], on: str | None, inputs: Sequence[np.ndarray]
    ) -> dict[str, Any]:
        """The keys of the manifest that are measured, measured again."""

    def next_commands(self, folder: Path) -> tuple[str, ...]:
        """What to do with a new project."""

    def summary(self, manifest: Mapping[str, Any]) -> tuple[str, ...]:
        """Lines about a new project."""

    def quantities(self, manifest: Mapping[str, Any]) -> tuple[Quantity, ...]:
        """The numbers that a search predicts and a budget limits."""

    def details(self, manifest: Mapping[str, Any]) -> list[Section]:
        """Layer by layer, and where the numbers come from."""

    def sections(self, manifest: Mapping[str, Any]) -> list[Section]:
        """All that a report of a project says, most important first."""


BACKENDS: dict[str, Backend[Any]] = {
    backend.kind: backend for backend in (Microcontrollers(), FpgaEngine())
}


def backend_for(kind: str) -> Backend[Any]:
    """The back end for the ``kind`` of a target or of a manifest."""
    return BACKENDS[kind]


def check_runner(project: Project[Target], on: str) -> None:
    """InputError unless the back end of ``project`` has the runner ``on``."""
    known = backend_for(project.target.kind).runners
    if on not in known and not (serial_port(on) is not None and ANY_PORT in known):
        problem = f"a project for {project.target.name} does not run on {on}"
        raise no_such(problem, on, known, label="it runs on")
