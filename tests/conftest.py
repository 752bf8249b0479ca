# SPDX-License-Identifier: Apache-2.0
"""Shared by all tests: one thread per process, where real data lies, and what runs when.

pytest                 what `make test` runs
pytest --nightly       what is exhaustive, too
pytest -m pure         by what a test needs, see the markers in pyproject.toml
"""

from __future__ import annotations

import os
from pathlib import Path

# pytest-xdist runs one process per core; libraries that each start as many threads only wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TVM_NUM_THREADS", "1")

import pytest

KITS = ("compiler.testing", "nas.testing", "targets.testing")
pytest.register_assert_rewrite(*(f"tinytailor.{kit}" for kit in KITS))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--nightly", action="store_true", help="run what is exhaustive, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "data_folder" in getattr(item, "fixturenames", ()):
            item.add_marker("data")
    if config.getoption("--nightly"):
        return
    left = [item for item in items if item.get_closest_marker("nightly")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


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
