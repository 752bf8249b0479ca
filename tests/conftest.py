# SPDX-License-Identifier: Apache-2.0
"""Shared by all tests: one thread per process, and where real data lies."""

from __future__ import annotations

import os
from pathlib import Path

# pytest-xdist runs one process per core; libraries that each start as many threads only wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TVM_NUM_THREADS", "1")

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data and models, or a visible skip."""
    folder = Path(os.environ.get("TINYTAILOR_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}; set TINYTAILOR_DATA")
    return folder
