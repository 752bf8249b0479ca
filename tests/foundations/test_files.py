# SPDX-License-Identifier: Apache-2.0
"""Files are whole or absent, and one process at a time works on a path."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tinytailor.targets.errors import InputError
from tinytailor.targets.files import (
    only_writer,
    read_json,
    write_atomically,
    write_json,
    write_text,
)

pytestmark = [pytest.mark.pure]


@pytest.mark.parametrize("synced", [False, True])
def test_a_file_is_replaced_whole_and_readable_by_all(tmp_path: Path, synced: bool) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    write_atomically(path, lambda file: file.write_text("new"), synced=synced)
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_stays_as_it_was_where_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": [2]})

    def torn(file: Path) -> None:
        file.write_text("half")
        raise InputError("no good")

    with pytest.raises(InputError, match="no good"):
        write_atomically(path, torn)
    assert read_json(path) == {"a": [2], "b": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_what_is_no_json_is_named(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", "{")
    with pytest.raises(InputError, match=r"cannot read .*a\.json as JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"cannot read .*b\.json as JSON"):
        read_json(tmp_path / "b.json")


HOLDER = """
import sys
from pathlib import Path
from tinytailor.targets.files import only_writer

with only_writer(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


def test_the_lock_of_a_killed_process_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "run"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mine\n"
        sentence = rf"^process {holder.pid} on \S+ is writing {path}; wait for it to finish$"
        with pytest.raises(InputError, match=sentence), only_writer(path):
            pass
        os.kill(holder.pid, signal.SIGKILL)
    with only_writer(path):
        assert [p.name for p in tmp_path.iterdir()] == [".run.lock"]
    assert list(tmp_path.iterdir()) == []
