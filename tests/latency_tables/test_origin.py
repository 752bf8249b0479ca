# SPDX-License-Identifier: Apache-2.0
"""What decides the counts of a table is in the digest of its header."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinytailor.latency_tables.table.origin import NOT_OF_KERNELS, of_kernels

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

PREFIX = "tinytailor.compiler"


def test_a_new_folder_of_the_compiler_is_in_the_digest_without_being_named(tmp_path):
    for name in ("opkey.py", "new_folder/deep/kernel.py", "kernels/add/plain.py", "passes/pads.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    found = {path.relative_to(tmp_path).as_posix() for path in of_kernels(tmp_path)}
    assert found == {"opkey.py", "new_folder/deep/kernel.py", "kernels/add/plain.py"}


def test_all_that_a_kernel_is_made_of_is_in_the_digest(repository):
    """Whatever kernels and their image import, at their head or in a function, however far."""
    compiler = repository / "compiler"
    waiting = {compiler / "mcu" / "kernel_image.py", *(compiler / "kernels").rglob("*.py")}
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        found.add(path)
        waiting |= imported(ast.parse(path.read_text()), compiler) - found
    assert compiler / "ops" / "conv2d.py" in found
    assert found <= {*of_kernels(compiler)}
    assert all((compiler / name).is_dir() for name in NOT_OF_KERNELS)


def imported(tree: ast.AST, compiler: Path) -> set[Path]:
    """The files of the compiler that a file imports when it runs, beside its own packages."""
    paths = set()
    for name in names(tree):
        if name.startswith(f"{PREFIX}."):
            place = compiler.joinpath(*name.removeprefix(f"{PREFIX}.").split("."))
            paths |= {place.with_suffix(".py"), place / "__init__.py"}
    return {path for path in paths if path.exists()}


def names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield str(node.module)
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from names(child)
