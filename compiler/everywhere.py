# SPDX-License-Identifier: Apache-2.0
"""One model on one board of every core, on every runner: is it the same integers everywhere?

    core            host (sanitizers)   emulator    QEMU
    cortex-m0plus         x                x          x     host: once for each instruction set,
    ...                                                     as the emitted text is the same
    cortex-m55            x                           x

Where both runners have a core they must count the same instructions.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinytailor.compiler.api import compile_model, profile, verify
from tinytailor.compiler.ir import Graph
from tinytailor.targets import Board, load_target, require_board
from tinytailor.targets.errors import BudgetError

# One shipped board for each core.
BOARDS = (
    "nucleo-g0b1re",
    "nucleo-f207zg",
    "nucleo-l4r5zi",
    "nucleo-h743zi",
    "nucleo-l552ze-q",
    "mps3-an547",
)
_NAME = "model"


@dataclass(frozen=True, slots=True)
class Check:
    """Outputs of one runner against the integer graph, and the instructions of one inference."""

    samples: int
    elements: int
    differing_elements: int
    instructions: int | None = None

    @property
    def bit_exact(self) -> bool:
        return self.differing_elements == 0


@dataclass(frozen=True, slots=True)
class CoreReport:
    """One board: what its project costs, and its checks by runner (those that could run).

    ``cycles`` and ``latency_ms`` are None without a cycle model of the core; all costs are None
    where the model does not fit the board, which ``refused`` then says.
    """

    board: str
    core: str
    isa: str
    arena_bytes: int | None = None
    ram_bytes: int | None = None
    flash_bytes: int | None = None
    cycles: int | None = None
    latency_ms: float | None = None
    checks: Mapping[str, Check] = field(default_factory=dict)
    refused: str | None = None

    @property
    def bit_exact(self) -> bool:
        return bool(self.checks) and all(check.bit_exact for check in self.checks.values())

    @property
    def counts_agree(self) -> bool:
        """Whether all runners that count instructions count the same."""
        counts = {c.instructions for c in self.checks.values() if c.instructions is not None}
        return len(counts) == 1


def verify_everywhere(
    graph: Graph,
    inputs: np.ndarray | Sequence[np.ndarray] | None = None,
    *,
    boards: Sequence[str] = BOARDS,
    on_step: Callable[[str], None] = lambda _: None,
) -> list[CoreReport]:
    """Compile ``graph`` for each board and run it wherever this machine can.

    ``inputs``: int8 batches as for ``verify``; seeded random ones without. QEMU is left out where
    it is not installed, and with it the cores that only QEMU has.
    """
    reports: list[CoreReport] = []
    on_host: dict[str, Check] = {}
    with tempfile.TemporaryDirectory(prefix="tinytailor-everywhere-") as scratch:
        for name in boards:
            board = require_board(load_target(name), "running on every core")
            runners = _runners(board)
            if not runners:
                on_step(f"{name}: left out, qemu-system-arm is not on PATH")
                continue
            on_step(f"{name}: {', '.join(('host', *runners))}")
            folder = Path(scratch) / board.name
            reports.append(_report(graph, board, folder, inputs, runners, on_host))
    return reports


def _runners(board: Board) -> tuple[str, ...]:
    emulator = ("emulator",) if board.core.emulated_as is not None else ()
    return (*emulator, "qemu") if shutil.which("qemu-system-arm") else emulator


def _report(
    graph: Graph,
    board: Board,
    folder: Path,
    inputs: np.ndarray | Sequence[np.ndarray] | None,
    runners: Sequence[str],
    on_host: dict[str, Check],
) -> CoreReport:
    isa = str(board.core.isa)
    try:
        manifest = compile_model(graph, board, folder, _NAME, model_sha256="0" * 64)
    except BudgetError as error:
        return CoreReport(board.name, board.core.name, isa, refused=str(error))
    if isa not in on_host:
        on_host[isa] = _check(folder, "host", inputs, None)
    checks = {"host": on_host[isa]}
    for runner in runners:
        counted = profile(folder, runner, inputs)
        checks[runner] = _check(folder, runner, inputs, int(counted["instructions"]))
    return CoreReport(
        board.name,
        board.core.name,
        isa,
        manifest["arena_bytes"],
        manifest["ram_bytes"],
        manifest["flash_bytes"],
        manifest["cycles"],
        manifest["latency_ms"],
        checks,
    )


def _check(
    folder: Path,
    runner: str,
    inputs: np.ndarray | Sequence[np.ndarray] | None,
    instructions: int | None,
) -> Check:
    found = verify(folder, runner, inputs)
    return Check(found["samples"], found["elements"], found["differing_elements"], instructions)
