# SPDX-License-Identifier: Apache-2.0
"""The board, the acceptance chain emitted once, and one engine binary that all networks share."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from chain import build_chain, build_graph
from fpga_projects import write_project

from tinytailor.compiler.ir import Graph
from tinytailor.targets.fpga import Fpga, load_fpga

STRICT = "CXXFLAGS=-O2 -Werror -Wconversion -Wshadow"


@pytest.fixture(scope="session")
def board(repository: Path) -> Fpga:
    return load_fpga(repository / "targets" / "fpgas" / "ultra96-v2.toml")


@pytest.fixture(scope="session")
def acceptance_graph() -> Graph:
    """3 -> 16 -> 32 -> 32 channels on 32 x 32 with two deformable layers."""
    return build_graph(build_chain())


@pytest.fixture(scope="session")
def emitted(acceptance_graph: Graph, board: Fpga, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The acceptance project; tests that change it copy it first."""
    folder = tmp_path_factory.mktemp("acceptance") / "project"
    write_project(acceptance_graph, board, folder, "chain")
    return folder


@pytest.fixture(scope="session")
def engine(emitted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C simulation built without a single compiler warning. It runs any project's program."""
    for tool in ("make", "g++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not on PATH: C simulation is not checked")
    build = tmp_path_factory.mktemp("engine")
    command = ["make", "-C", str(emitted), f"BUILD={build}", STRICT, str(build / "csim")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return build / "csim"
