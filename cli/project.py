# SPDX-License-Identifier: Apache-2.0
"""The folder of a compiled project: its name, whether it may be written, its manifest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tinytailor.targets.errors import InputError

MANIFEST = "manifest.json"

C_KEYWORDS = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while main".split()
)


def identifier(name: str) -> str:
    """``name`` if C functions can be named after it, else InputError."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in C_KEYWORDS:
        raise InputError(
            f"--name {name!r} cannot name a C function; use letters, digits and _, a letter first, "
            "no keyword of C"
        )
    return name


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a project, or InputError saying what the folder is not."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{folder} is not a compiled project: it has no {MANIFEST}; make one with tinytailor compile"
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}; compile the model again") from None
    if not isinstance(manifest, dict) or "target" not in manifest:
        raise InputError(f"{path} is not a manifest of tinytailor; compile the model again")
    return manifest
