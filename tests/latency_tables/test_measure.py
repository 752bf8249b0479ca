# SPDX-License-Identifier: Apache-2.0
"""Measuring on the real emulator: repeatable, resumable, and honest about failures."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import measuring
import pytest
from tiers import nightly_but

from tinytailor.compiler import make_key
from tinytailor.compiler.ops import Dense
from tinytailor.latency_tables import LatencyTable
from tinytailor.latency_tables.measuring.measure import measure
from tinytailor.targets import cross_toolchain, load_target
from tinytailor.targets.errors import InputError, ToolError

# one process, so that it is measured once
pytestmark = [pytest.mark.emulator, pytest.mark.tvm, pytest.mark.xdist_group("measuring")]

PATIENCE = 600  # seconds; only a process that hangs takes so long, on any machine


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> LatencyTable:
    """A table measured in one go."""
    path = tmp_path_factory.mktemp("whole") / "table.jsonl"
    return measure(
        (*measuring.one_of_each(), *measuring.many()), measuring.board(), cross_toolchain(), path
    )


def test_every_kind_of_operator_has_a_row_of_real_counts(whole):
    for key in measuring.one_of_each():
        row = whole[key]
        assert row.instructions > 0
        assert row.core_cycles >= row.instructions // 2
        assert row.cycles is None, "nothing was measured"
        assert row.code_bytes > 0
        assert row.stack_bytes >= 0
        assert row.repeats == 2
    dense = whole[measuring.one_of_each()[4]]
    assert dense.constant_bytes >= 5 * 24 + 5 * 8  # weights, bias and multipliers


def test_twice_the_work_costs_about_twice_the_cycles(whole):
    small, large = (whole[make_key(Dense(n), ((1, 16),), "dsp")] for n in (24, 48))
    assert 1.6 < large.core_cycles / small.core_cycles < 2.4
    record = 4 * 4  # pointers to weights, biases and multipliers, and a zero point
    assert large.constant_bytes - record == 2 * (small.constant_bytes - record)


def test_a_loaded_table_equals_the_measured_one_and_nothing_is_measured_twice(whole):
    before = whole.path.read_bytes()
    again = measure(measuring.many(), measuring.board(), cross_toolchain(), whole.path)
    assert again == whole
    assert whole.path.read_bytes() == before


@pytest.mark.parametrize("kills", nightly_but((2,), (2, 8)))
def test_a_measurement_killed_at_random_moments_ends_with_the_same_rows(whole, tmp_path, kills):
    path = tmp_path / "table.jsonl"
    LatencyTable.create(path, whole.header)
    begun = time.monotonic()
    measuring.started(path).join(PATIENCE)
    duration = time.monotonic() - begun
    assert LatencyTable.load(path).rows == {key: whole[key] for key in measuring.few()}
    LatencyTable.create(path, whole.header)
    rng, killed, kept = random.Random(7), 0, 0
    for _ in range(kills):  # each goes on where the one before was killed
        process = measuring.started(path)
        process.join(rng.uniform(0.05, 0.7) * duration)
        process.kill()
        process.join(PATIENCE)
        killed += process.exitcode == -signal.SIGKILL
        assert len(LatencyTable.load(path)) >= kept, "no finished row is lost"
        kept = len(LatencyTable.load(path))
    assert killed > 0
    assert finished(path).rows == {key: whole[key] for key in measuring.few()}


def test_a_kill_inside_an_append_loses_at_most_the_row_in_flight(whole, tmp_path):
    path = tmp_path / "table.jsonl"
    LatencyTable.create(path, whole.header)
    process = measuring.started(path, kill_at_sync=2)
    process.join(PATIENCE)
    assert process.exitcode == -signal.SIGKILL
    content = path.read_bytes()
    for lost in (0, 1, 40):  # as much of the second batch as did not reach the disk
        path.write_bytes(content[: len(content) - lost])
        assert len(LatencyTable.load(path)) == (3 if lost else 4)
    assert finished(path).rows == {key: whole[key] for key in measuring.few()}


def finished(path: Path) -> LatencyTable:
    """The table when the same measurement is started again."""
    return measure(measuring.few(), measuring.board(), cross_toolchain(), path)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_with_workers_what_was_measured_before_the_end_is_kept(whole, tmp_path, blow):
    path = tmp_path / "table.jsonl"
    LatencyTable.create(path, whole.header)
    command = [sys.executable, measuring.__file__, str(path), "2"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, preexec_fn=heed_ctrl_c)
    while process.poll() is None and rows(path) == 0:
        time.sleep(0.01)
    process.send_signal(blow)
    assert process.wait(timeout=PATIENCE) != 0
    kept = LatencyTable.load(path)
    assert 0 < len(kept) < len(measuring.many()), "stopped in the middle"
    assert kept.rows == {key: whole[key] for key in kept}
    if blow == signal.SIGINT:
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name], "and no lock"
    else:
        table = measure(measuring.many(), measuring.board(), cross_toolchain(), path)
        assert table.rows == {key: whole[key] for key in measuring.many()}


def heed_ctrl_c() -> None:
    """Jobs in the background of a shell ignore SIGINT, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def rows(path: Path) -> int:
    return max(0, path.read_bytes().count(b"\n") - 1) if path.exists() else 0


def test_what_cannot_be_measured_is_an_error_and_the_rest_is_kept(tmp_path):
    path = tmp_path / "table.jsonl"
    good, bad = measuring.one_of_each()[4], measuring.too_large()
    with pytest.raises(ToolError, match=r"1 operators could not be measured(.|\n)*1x1600x1600x1"):
        measure((good, bad), measuring.board(), cross_toolchain(), path)
    table = LatencyTable.load(path)
    assert good in table
    assert bad not in table
    with pytest.raises(InputError, match="could not be measured"):
        table[bad]


def test_a_table_is_not_continued_with_another_compiler_or_core(whole, tmp_path):
    copy = tmp_path / "table.jsonl"
    copy.write_bytes(whole.path.read_bytes())
    other = load_target("nucleo-l552ze-q")
    with pytest.raises(InputError, match="core was cortex-m4, is cortex-m33"):
        measure(measuring.many(), other, cross_toolchain(), copy)
    with pytest.raises(InputError, match=r"toolchain was .*--no-resume"):
        measure(measuring.many(), measuring.board(), cross_toolchain("zig"), copy)


def test_keys_of_another_instruction_set_are_refused(tmp_path):
    key = make_key(Dense(2), ((1, 8),), "base")
    with pytest.raises(InputError, match="is not for nucleo-f446re, which has dsp"):
        measure([key], measuring.board(), cross_toolchain(), tmp_path / "table.jsonl")
