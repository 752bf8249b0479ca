# SPDX-License-Identifier: Apache-2.0
"""A kind of layer is known to its own file, to kinds that are made of it, and to spaces that offer
it; the conformance kits build networks of some."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinytailor.nas.layers import KINDS
from tinytailor.nas.spaces import SPACES

pytestmark = [pytest.mark.torch]

SOURCES = ("compiler", "latency_tables", "nas", "cli")
OFFERS = tuple(f"nas/spaces/{name}.py" for name in SPACES)
KNOWS = ("nas/layers", "nas/testing", *OFFERS)
MODULES = {kind.__module__ for kind in KINDS.values()}


def known(source: str) -> Iterator[str]:
    """The kinds that a file imports or names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from {node.value} & set(KINDS)


def test_no_other_file_knows_a_kind_of_layer(repository: Path) -> None:
    paths = [path for folder in SOURCES for path in (repository / folder).rglob("*.py")]
    found = {str(path.relative_to(repository)): sorted(known(path.read_text())) for path in paths}
    offenders = {n: kinds for n, kinds in found.items() if kinds and not n.startswith(KNOWS)}
    assert offenders == {}
    assert all(found[place] for place in OFFERS), "a space that offers no layer"


@pytest.mark.parametrize(
    "line",
    [
        "from tinytailor.nas.layers.addition import Addition",
        "import tinytailor.nas.layers.mean_pool",
        "if kind.name == 'convolution': pass",
    ],
)
def test_it_sees_each_way_of_knowing_one(line: str) -> None:
    assert len(list(known(line))) == 1
