# SPDX-License-Identifier: Apache-2.0
"""The folders of latency_tables build on each other in one direction."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tinytailor.latency_tables

pytestmark = [pytest.mark.pure]

ROOT = Path(tinytailor.latency_tables.__file__).parent
PARTS = ("table", "measuring", "fit", "calibration", "estimate", "cost")  # imports point left


def imported(path: Path) -> set[str]:
    """Parts of the package that a file imports, wherever the import stands."""
    package = f"{tinytailor.latency_tables.__name__}."
    nodes = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom))
    modules = (n.module or "" for n in nodes)
    return {m.removeprefix(package).split(".")[0] for m in modules if m.startswith(package)}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_only_those_below_it(part: str) -> None:
    files = sorted((ROOT / part).glob("*.py")) or [ROOT / f"{part}.py"]
    found = {name for path in files for name in imported(path)}
    assert found <= set(PARTS[: PARTS.index(part) + 1]) | {"budget"}


def test_every_part_is_in_the_order() -> None:
    names = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert names - {"__init__", "__pycache__", "tables", "budget"} == set(PARTS)
