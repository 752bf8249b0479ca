# SPDX-License-Identifier: Apache-2.0
"""What tests need, held to what their files declare: a test that starts what it has no marker for
fails there, and ``--without NAME`` runs tests as if a library were not installed.

    pytestmark = [pytest.mark.tvm, pytest.mark.emulator]        in each file of tests
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

NEEDS = ("pure", "tvm", "torch", "emulator", "qemu")
LIBRARIES = {"tvm": "tvm", "torch": "torch", "unicorn": "emulator"}  # and who needs them
STARTED = {"qemu-system-arm": "qemu", "tinytailor.targets.emulator.worker": "emulator"}


class Watch:
    """Knows the test that runs, and what it may start."""

    item: pytest.Item | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "subprocess.Popen" or self.item is None:
            return
        words = [os.fsdecode(word) for word in arguments[1]]
        for name, need in STARTED.items():
            started = any(word == name or word.endswith(f"/{name}") for word in words)
            if started and self.item.get_closest_marker(need) is None:
                raise AssertionError(f"{self.item.nodeid} starts {name}: mark its file {need}")


def hide(names: Sequence[str]) -> None:
    """Make libraries impossible to import, here and in processes that tests start."""
    if not names:
        return
    folder = Path(tempfile.mkdtemp(prefix="tinytailor-without-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in names:
        (folder / f"{name}.py").write_text(
            f'raise ImportError("{name} is hidden from this test")\n'
        )
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))


def declared(text: str) -> set[str]:
    """Which needs the text of a file of tests declares."""
    lines = text.split("pytestmark = ")[1:]
    return {need for need in NEEDS if lines and f"pytest.mark.{need}" in lines[0].split("\n\n")[0]}
