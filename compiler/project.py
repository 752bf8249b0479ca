# SPDX-License-Identifier: Apache-2.0
"""Compiled projects: folders that are written beside their place, moved there whole, never over
foreign files, and read again."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

from tinytailor.compiler.ir import Graph
from tinytailor.compiler.serialize import load_graph, save_graph
from tinytailor.targets import Target, load_target
from tinytailor.targets.errors import InputError
from tinytailor.targets.files import write_text

MANIFEST = "manifest.json"
GRAPH = "graph.npz"
TARGET = "target.toml"
GENERATOR = "tinytailor"
_C_KEYWORDS = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long main register restrict return short signed sizeof static struct switch "
    "typedef union unsigned void volatile while".split()
)

T = TypeVar("T", bound=Target, covariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class Project(Generic[T]):
    """A compiled project as it lies in ``folder``."""

    folder: Path
    manifest: dict[str, Any]
    graph: Graph
    target: T

    @property
    def name(self) -> str:
        """Of its functions and files."""
        return str(self.manifest["name"])


def tool_version() -> str:
    return version("tinytailor")


def check_name(name: str) -> str:
    """``name`` if it can be a C identifier and a file name, else InputError."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or name in _C_KEYWORDS:
        raise InputError(
            f"name {name!r} cannot be used: expected a C identifier in lower case "
            "(letters, digits, underscores, not a keyword); pass another --name"
        )
    return name


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_output(folder: Path) -> None:
    """InputError unless ``folder`` is new, empty, or an earlier project of this tool."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; the project needs a folder of its own")
    if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder):
        raise InputError(
            f"{folder}: exists and holds files that tinytailor did not write; choose an empty or "
            "new folder"
        )


def _is_ours(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / MANIFEST).read_text())["generator"] == GENERATOR)
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextmanager
def new_project(folder: Path) -> Iterator[Path]:
    """An empty folder that becomes ``folder`` when the block ends well, and vanishes otherwise."""
    check_output(folder)
    with new_folder(folder) as temporary:
        yield temporary


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """As ``new_project``, in place of whatever ``folder`` holds."""
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        temporary.chmod(0o755)
        yield temporary
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            os.replace(folder, old / "project")
            os.replace(temporary, folder)
            shutil.rmtree(old)
        else:
            os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a compiled project, or InputError."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except OSError as error:
        raise InputError(
            f"{folder}: no compiled project there ({MANIFEST} is missing); make one with "
            "`tinytailor compile MODEL --target T -o DIR`"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); compile the model again") from error
    if not isinstance(manifest, dict) or manifest.get("generator") != GENERATOR:
        raise InputError(f"{path}: was not written by tinytailor; compile the model again")
    return manifest


def save_project(folder: Path, manifest: dict[str, Any], graph: Graph, target: Target) -> None:
    """Beside what a back end has written: all that it takes to verify it."""
    save_graph(graph, folder / GRAPH)
    (folder / TARGET).write_text(target.definition, "utf-8")
    write_manifest(folder, manifest)


def load_project(folder: Path) -> Project[Target]:
    """A compiled project, or InputError."""
    manifest = read_manifest(folder)
    graph, target = load_graph(folder / GRAPH), load_target(str(folder / TARGET))
    return Project(folder, manifest, graph, target)
