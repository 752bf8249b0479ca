# SPDX-License-Identifier: Apache-2.0
"""Files that are either whole or absent, and files that one process at a time works on.

A file is written under another name in its folder and then renamed over it: whoever reads sees the
old one or the new one, and a process that is killed leaves the old one.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinytailor.targets.errors import InputError


def write_atomically(path: Path, write: Callable[[Path], object], *, synced: bool = False) -> None:
    """Let ``write`` fill a temporary file in the same folder, then rename it to ``path``.

    If ``write`` raises, for instance because it checked what it wrote, ``path`` stays as it was.
    ``synced``: it is on the disk first, and survives the loss of power.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    temporary = Path(name)
    try:
        os.close(handle)
        write(temporary)
        temporary.chmod(0o644)
        if synced:
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text, "utf-8"))


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} as JSON: {error}") from None


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """This process alone works on ``path``, a file or a folder, for a while; else InputError.

    The lock is the operating system's and goes with the process that holds it, however it ends;
    the file beside ``path`` only says who that is.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    with open(lock, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.fstat(file.fileno()).st_ino == os.stat(lock).st_ino
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise InputError(f"{holder} is writing {path}; wait for it to finish")
        try:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            yield
        finally:
            lock.unlink(missing_ok=True)
