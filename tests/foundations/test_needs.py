# SPDX-License-Identifier: Apache-2.0
"""Every file of tests says what it needs, and a test that needs more is told so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import needs
import pytest

pytestmark = [pytest.mark.pure]
FILES = sorted(Path(__file__).parent.parent.rglob("test_*.py"))


def test_every_file_of_tests_declares_what_it_needs() -> None:
    assert [path.name for path in FILES if not needs.declared(path.read_text())] == []


def test_what_needs_nothing_needs_nothing_else() -> None:
    found = {path.name: needs.declared(path.read_text()) for path in FILES}
    assert [name for name, marks in found.items() if "pure" in marks and len(marks) > 1] == []


@pytest.mark.parametrize("command", [["/usr/bin/qemu-system-arm"], ["-m", *needs.STARTED]])
def test_a_test_that_starts_what_it_does_not_declare_fails(command: list[str]) -> None:
    with pytest.raises(AssertionError, match=r"starts .*: mark its file (qemu|emulator)"):
        subprocess.run([sys.executable, *command], check=True)


def test_a_library_that_is_hidden_cannot_be_imported(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", "")
    needs.hide(["optuna"])
    done = subprocess.run([sys.executable, "-c", "import optuna"], capture_output=True, text=True)
    assert "optuna is hidden from this test" in done.stderr
