# SPDX-License-Identifier: Apache-2.0
"""An operator says everything about itself: no file that is not about it names its kind or class.

``ABOUT`` are the places that an operator is written in, or that make operators of something else.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinytailor.compiler.ops import OPERATORS

pytestmark = [pytest.mark.pure]

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ("compiler", "latency_tables", "nas", "cli")  # targets know nothing of networks
PACKAGE = "tinytailor.compiler.ops"
ABOUT = (
    "compiler/ops",
    "compiler/kernels",
    "compiler/fpga/units",
    "compiler/frontend/rules",
    "nas/layers",
)
CLASSES = {operator.__name__ for operator in OPERATORS.values()}
KINDS = set(OPERATORS) - {"float"}  # which is a type of C and of numpy, too


def named(source: str) -> Iterator[str]:
    """Kinds, and classes that are imported or reached through a module of the operators."""
    tree = ast.parse(source)
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            yield from (alias.name for alias in node.names if alias.name in CLASSES)
            modules |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == PACKAGE.rpartition(".")[0]:
            modules |= {a.asname or a.name for a in node.names if a.name == "ops"}
        elif isinstance(node, ast.Import):
            modules |= {a.asname or a.name for a in node.names if a.name.startswith(PACKAGE)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in KINDS:
            yield repr(node.value)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in modules:
            yield from {node.attr} & CLASSES


def about(path: Path) -> bool:
    return any(path.is_relative_to(ROOT / place) for place in ABOUT)


def offenders() -> dict[str, list[str]]:
    paths = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]
    found = {path: sorted(set(named(path.read_text()))) for path in paths if not about(path)}
    return {str(path.relative_to(ROOT)): names for path, names in found.items() if names}


def test_nothing_but_what_is_about_an_operator_names_it():
    assert offenders() == {}


def test_every_place_about_operators_is_there_and_names_some():
    for place in ABOUT:
        sources = [path.read_text() for path in (ROOT / place).rglob("*.py")]
        assert any(True for source in sources for _ in named(source)), place


@pytest.mark.parametrize(
    "line",
    [
        'if node.op.kind == "reshape": pass',
        "from tinytailor.compiler.ops import Conv2d",
        "from tinytailor.compiler.ops.conv2d import Conv2d as C",
        "from tinytailor.compiler import ops\nx = ops.Conv2d",
        "from tinytailor.compiler.ops import conv2d\nx = conv2d.Conv2d",
        "import tinytailor.compiler.ops.conv2d\nx = tinytailor.compiler.ops.conv2d.Conv2d",
        'TABLE = {"conv2d": 1}',
    ],
)
def test_each_way_of_naming_an_operator_is_seen(line):
    assert list(named(line))


@pytest.mark.parametrize(
    "line",
    [
        "from torch.nn import Conv2d",
        "from tinytailor.compiler.ops import OPERATORS, Operator",
        "from tinytailor.compiler.ops.window import Window",
        'text = "a conv2d layer"',
    ],
)
def test_what_only_sounds_like_an_operator_is_none(line):
    assert not list(named(line))
