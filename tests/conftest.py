# SPDX-License-Identifier: Apache-2.0
"""Shared by all tests: one thread per process, where real data lies, and what runs when.

pytest                 what `make test` runs
pytest --nightly       what is exhaustive, too
pytest -m pure         by what a test needs, see the markers in pyproject.toml and needs.py
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

# pytest-xdist runs one process per core; libraries that each start as many threads only wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TVM_NUM_THREADS", "1")

import needs
import pytest

KITS = ("compiler.testing", "nas.testing", "targets.testing")
pytest.register_assert_rewrite(*(f"tinytailor.{kit}" for kit in KITS))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--nightly", action="store_true", help="run what is exhaustive, too")
    parser.addoption("--without", action="append", default=[], help="hide a library from the tests")


WATCH = needs.Watch()


def pytest_configure(config: pytest.Config) -> None:
    needs.hide(config.getoption("--without"))
    sys.addaudithook(WATCH)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A file whose tests need what is hidden cannot even be imported."""
    hidden = {needs.LIBRARIES.get(name, name) for name in config.getoption("--without")}
    if not hidden or not collection_path.name.startswith("test_"):
        return None
    return bool(hidden & needs.declared(collection_path.read_text())) or None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    WATCH.item = item
    try:
        return (yield)
    finally:
        WATCH.item = None


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
