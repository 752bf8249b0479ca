# SPDX-License-Identifier: Apache-2.0
"""Operators for a latency table, run by the firmware of a board; the board is QEMU here."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pytest
from qemu_board import board_text, flash_command, free_port

from tinytailor.compiler.opkey import make_key
from tinytailor.compiler.ops import Add, Dense
from tinytailor.latency_tables import LatencyTable
from tinytailor.latency_tables.measuring import on_device
from tinytailor.latency_tables.measuring.measure import measure, measure_batch
from tinytailor.targets import cross_toolchain, load_target
from tinytailor.targets.errors import InputError, ToolError
from tinytailor.targets.serial import Connection

pytestmark = [pytest.mark.emulator, pytest.mark.qemu]

KEYS = (
    make_key(Add(), ((1, 4, 4, 8), (1, 4, 4, 8)), "dsp"),
    make_key(Dense(5), ((1, 24),), "dsp"),
)


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    """A board that is written by its flash command, and its port."""
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not on PATH")
    folder = tmp_path_factory.mktemp("measuring")
    port = free_port()
    (folder / "board.toml").write_text(board_text(port, folder))
    yield load_target(str(folder / "board.toml")), f"socket://127.0.0.1:{port}"
    subprocess.run(flash_command(port, folder), check=True, timeout=20)


@pytest.fixture(scope="module")
def rows(device):
    return measure_batch(KEYS, device[0], cross_toolchain(), "emulator")


def test_other_integers_than_the_operator_computes_are_a_failure(device, rows, monkeypatch):
    board, port = device
    run = Connection.run

    def wrong(self, calls):
        return [
            replace(one, outputs=(bytes(len(one.outputs[0])),))
            if calls[0].symbol[-1] == "1"
            else one
            for one in run(self, calls)
        ]

    monkeypatch.setattr(Connection, "run", wrong)
    good, bad = on_device.measured(rows, board, cross_toolchain(), port, simulated=True)
    assert good.measured
    assert bad.key == KEYS[1]
    assert "other integers" in bad.message


def test_cycles_of_a_simulated_board_do_not_get_into_a_table(device, tmp_path):
    board, port = device
    path, runner = tmp_path / "table.jsonl", f"serial:{port}"
    with pytest.raises(ToolError, match="is QEMU, whose cycles are no time"):
        measure(KEYS, board, cross_toolchain(), path, runner=runner)
    assert len(LatencyTable.load(path)) == 0
    assert LatencyTable.load(path).header.runner == "serial"
    with pytest.raises(InputError, match="is one board; leave out --workers"):
        measure(KEYS, board, cross_toolchain(), path, runner=runner, workers=2)
    with pytest.raises(InputError, match="runner was serial, is emulator"):
        measure(KEYS, board, cross_toolchain(), path)
