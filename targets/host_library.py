# SPDX-License-Identifier: Apache-2.0
"""Shared libraries for this machine, built from C files of this package once, into a cache.

TINYTAILOR_CACHE names another folder for the cache than the user's own.
"""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tinytailor.targets.errors import ToolError
from tinytailor.targets.files import write_atomically
from tinytailor.targets.toolchain import compile_or_raise, host_toolchain


def cache_folder() -> Path:
    """Where files that can be made again are kept."""
    named = os.environ.get("TINYTAILOR_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tinytailor"


def host_library(
    source: Path, headers: Sequence[Path], what: str, defines: Sequence[str] = ()
) -> Path:
    """The library of ``source``; it is built if the cache does not hold it for these files."""
    contents = [path.read_bytes() for path in (source, *headers)]
    identity = b"".join((*contents, repr(tuple(defines)).encode(), platform.platform().encode()))
    path = cache_folder() / f"{source.stem}-{hashlib.sha256(identity).hexdigest()[:16]}.so"
    if path.is_file():
        return path
    compiler = host_toolchain()
    options = ("-O2", "-std=gnu11", "-fPIC", "-shared", *(f"-D{define}" for define in defines))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        command = (*compiler.command, *options, str(source), "-o")
        with tempfile.TemporaryDirectory(prefix=".build-", dir=path.parent) as name:
            folder = Path(name)
            write_atomically(
                path,
                lambda library: compile_or_raise(
                    (*command, str(library)), f"building {what}", folder
                ),
            )
    except OSError as error:
        raise ToolError(
            f"{path.parent} cannot be written ({error.strerror}); "
            "set TINYTAILOR_CACHE to a folder that can."
        ) from error
    return path
