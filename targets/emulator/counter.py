# SPDX-License-Identifier: Apache-2.0
"""Building counter.c for this machine, once, into the user's cache folder.

A Python function called for each block would take longer than the emulation by a factor of
hundreds. TINYTAILOR_CACHE names another cache folder.
"""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from pathlib import Path

from tinytailor.targets.errors import ToolError
from tinytailor.targets.toolchain import compile_or_raise, host_toolchain

SOURCE = Path(__file__).with_name("counter.c")


def cache_folder() -> Path:
    """Where files that can be made again are kept."""
    named = os.environ.get("TINYTAILOR_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tinytailor"


def counter_library() -> Path:
    """The shared library; it is built if the cache does not hold it for this source and machine."""
    identity = SOURCE.read_bytes() + platform.platform().encode()
    path = cache_folder() / f"counter-{hashlib.sha256(identity).hexdigest()[:16]}.so"
    if path.is_file():
        return path
    compiler = host_toolchain()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".build-", dir=path.parent) as name:
            built = Path(name) / path.name
            options = ("-O2", "-std=gnu11", "-fPIC", "-shared")
            command = (*compiler.command, *options, str(SOURCE), "-o", str(built))
            compile_or_raise(command, "building the emulator's counter", built.parent)
            os.replace(built, path)
    except OSError as error:
        raise ToolError(
            f"{path.parent} cannot be written ({error.strerror}); "
            "set TINYTAILOR_CACHE to a folder that can."
        ) from error
    return path
