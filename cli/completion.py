# SPDX-License-Identifier: Apache-2.0
"""What a shell completes behind an option (tinytailor --install-completion).

A shell waits for these at every Tab. So the registries of the packages that take seconds to import
are read from their source: the keys of a dict that is written out there.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

from tinytailor.targets import RUNNERS, target_names
from tinytailor.targets.runners import SERIAL

SUPERNET = "supernet"  # the algorithm that is none of the registry's
PACKAGES = Path(__file__).parents[1]
Complete = Callable[[str], list[str]]


def keys_of(file: str, name: str) -> list[str]:
    """The keys of the dict ``name`` in a source file, which is not imported."""
    for statement in ast.parse((PACKAGES / file).read_text("utf-8")).body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.Dict(keys=keys)):
                if found == name:
                    return [str(key.value) for key in keys if isinstance(key, ast.Constant)]
    raise LookupError(f"{file} holds no dict {name}")


def _beginning(names: list[str], start: str) -> list[str]:
    return [name for name in names if name.startswith(start)]


def targets(incomplete: str) -> list[str]:
    return _beginning(list(target_names()), incomplete)


def spaces(incomplete: str) -> list[str]:
    return _beginning(keys_of("nas/spaces/__init__.py", "SPACES"), incomplete)


def algorithms(incomplete: str) -> list[str]:
    named = keys_of("nas/search/__init__.py", "ALGORITHMS")
    return _beginning([SUPERNET, *named], incomplete)


def recipes(incomplete: str) -> list[str]:
    names = sorted(path.stem for path in (PACKAGES / "nas" / "recipes").glob("*.toml"))
    return _beginning(names, incomplete)


def schemes(incomplete: str) -> list[str]:
    return _beginning(keys_of("compiler/quantize/__init__.py", "SCHEMES"), incomplete)


def data_sets(incomplete: str) -> list[str]:
    """Where data come from; with a colon if a name or a file follows."""
    named = keys_of("nas/data/__init__.py", "WRITTEN")
    sources = keys_of("nas/data/__init__.py", "SOURCES")
    words = [f"{source}:" if source in named else source for source in sources]
    return _beginning(words, incomplete)


def runners(incomplete: str) -> list[str]:
    return _beginning([*RUNNERS, SERIAL], incomplete)


def project_runners(incomplete: str) -> list[str]:
    return _beginning(["host", *RUNNERS, "csim", SERIAL], incomplete)


def one_of(*names: str) -> Complete:
    def complete(incomplete: str) -> list[str]:
        return _beginning(list(names), incomplete)

    return complete
