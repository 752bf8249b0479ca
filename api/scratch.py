# SPDX-License-Identifier: Apache-2.0
"""Folders that go with what uses them."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path


class Scratch:
    """An empty folder that is removed with the last object that holds this one, at the latest with
    the process; a forked process leaves it alone."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tinytailor-"))
        weakref.finalize(self, _remove, self.folder, os.getpid())


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
