# SPDX-License-Identifier: Apache-2.0
"""docs/architecture.md names files and functions that are there, and walks to a multiply."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

pytestmark = [pytest.mark.pure]

MOST_FILES = 6
ROOTS = "targets|compiler|latency_tables|nas|cli|tests|docs|benchmarks"


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "architecture.md").read_text()


def walk_of(page: str) -> list[str]:
    """The first file that each step of the walk names."""
    section = page.split("## From here to a multiply")[1].split("\n## ")[0]
    return re.findall(r"^\d+\. `([^`]+)`", section, re.MULTILINE)


def spellings(path: str) -> tuple[str, ...]:
    """How a file can name another: by its path, or as what it imports."""
    folder, _, name = path.removesuffix(".py").rpartition("/")
    package = folder.replace("/", ".")
    return (path, f"tinytailor.{package} import {name}", f"tinytailor.{package}.{name}")


def test_each_step_of_the_walk_is_named_by_the_one_before(page: str, repository: Path) -> None:
    files = walk_of(page)
    assert files[:2] == ["README.md", "docs/architecture.md"]
    assert len(files) <= MOST_FILES
    for one, following in pairwise(files):
        text = (repository / one).read_text()
        names = (*spellings(following), f"{Path(following).stem}.VARIANT")
        assert any(name in text for name in names), f"{one} does not name {following}"


def test_the_walk_ends_at_the_line_that_emits_a_multiply(page: str, repository: Path) -> None:
    lines = (repository / walk_of(page)[-1]).read_text().splitlines()
    assert any(re.search(r'f?"smlad %', line) for line in lines)


def test_every_file_and_folder_that_the_page_names_is_there(page: str, repository: Path) -> None:
    named = set(re.findall(rf"[`\"]((?:{ROOTS})/(?:[\w-]+/)*(?:[\w-]+\.\w+)?)", page))
    assert len(named) > 30
    assert [path for path in sorted(named) if not (repository / path).exists()] == []


def test_every_function_that_the_page_names_is_in_its_file(page: str, repository: Path) -> None:
    pairs = re.findall(r"`([\w/]+\.py)`\s+\(`(\w+)`\)", page)
    pairs += re.findall(r"\[\"([\w/]+\.py)<br>(\w+_\w+)\"\]", page)
    assert len(pairs) >= 6
    for path, function in pairs:
        tree = ast.parse((repository / path).read_text())
        assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, path


def test_every_folder_of_the_source_is_on_the_page_or_in_a_folder_that_is(
    page: str, repository: Path
) -> None:
    """A concept that gets a folder of its own gets a word there."""
    folders = {
        path.parent.relative_to(repository).as_posix()
        for package in ("compiler", "latency_tables", "nas")
        for path in (repository / package).glob("*/__init__.py")
    }
    assert sorted(folder for folder in folders if folder not in page) == []
