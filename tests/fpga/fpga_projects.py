# SPDX-License-Identifier: Apache-2.0
"""Projects of test chains, also with a step for each layer, which the compiler never asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinytailor.compiler.fpga import check, emit
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.project import new_project, save_project
from tinytailor.targets.fpga import Fpga


def write_project(
    graph: Graph, board: Fpga, folder: Path, name: str = "net", *, fuse: bool = True
) -> dict[str, Any]:
    """The manifest of the project of ``graph`` in ``folder``."""
    check(graph, board)
    with new_project(folder) as empty:
        manifest = emit(graph, board, empty, name, model_sha256="0" * 64, fuse=fuse)
        save_project(empty, manifest, graph, board)
    return manifest
