# SPDX-License-Identifier: Apache-2.0
"""Whole networks on QEMU's UART, bit for bit, and the commands that run them."""

from __future__ import annotations

import json
import shutil

import pytest
from qemu_board import board_text, free_port, stop_flashed
from typer.testing import CliRunner

from tinytailor.cli.main import app
from tinytailor.cli.report import sections
from tinytailor.compiler import compile_model
from tinytailor.compiler.opkey import example_graph, make_key
from tinytailor.compiler.ops import Dense, DepthwiseConv2d
from tinytailor.compiler.ops.window import Window
from tinytailor.latency_tables.measuring.measure import measure
from tinytailor.targets import cross_toolchain, load_target
from tinytailor.targets.errors import ToolError

# one process, so that it is compiled once
pytestmark = [
    pytest.mark.emulator,
    pytest.mark.qemu,
    pytest.mark.tvm,
    pytest.mark.xdist_group("on-board"),
]


def needs_qemu() -> None:
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not on PATH")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A network for a QEMU machine whose board file says how it is written; its port's URL."""
    needs_qemu()
    folder = tmp_path_factory.mktemp("project")
    port = free_port()
    (folder / "board.toml").write_text(board_text(port, folder))
    op = DepthwiseConv2d(Window((3, 3)))
    graph = example_graph(make_key(op, ((1, 9, 7, 8),), "dsp"))
    board = load_target(str(folder / "board.toml"))
    compile_model(graph, board, folder / "net", "net", model_sha256="0" * 64)
    yield folder / "net", f"serial:socket://127.0.0.1:{port}"
    stop_flashed(folder)


def run_json(*words: object) -> tuple[int, dict]:
    done = CliRunner().invoke(app, [*map(str, words), "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_verify_and_profile_write_the_board_once_and_run_the_network(project):
    folder, port = project
    code, found = run_json("verify", folder, "--on", port)
    assert (code, found["bit_exact"], found["samples"]) == (0, True, 8), found
    assert found["on"] == port
    pid = folder.parent / "tinytailor-qemu-board.pid"
    flashed = pid.read_text()
    code, values = run_json("profile", folder, "--on", port)
    assert code == 0, values
    assert (folder.parent / "tinytailor-qemu-board.pid").read_text() == flashed, (
        "it was on the board already"
    )
    measured = values["measured"]
    assert measured["bit_exact"] is True
    assert measured["simulated"] is True
    assert measured["latency_ms"] is None, "QEMU's cycles are no time"
    assert measured["repeats"] == 20
    assert measured["cycles_least"] <= measured["cycles"] <= measured["cycles_most"]
    assert values["layers"], "layers stay emulated"
    titles = [part.title for part in sections(values)]
    assert titles[0] == f"Run on {port.removeprefix('serial:')} (QEMU)"
    on_board = {**measured, "simulated": False, "latency_ms": 1.0, "on": "/dev/ttyACM0 (mine)"}
    on_board |= {"latency_ms_least": 0.9, "latency_ms_most": 1.25}
    first = sections({**values, "measured": on_board})[0]
    assert first.title == "Measured on /dev/ttyACM0 (mine)"
    assert first.rows[0] == ("latency, median", "1.000 ms (from 0.900 to 1.250)")


def test_a_changed_project_is_written_to_the_board_and_seen(project, tmp_path):
    folder, port = project
    changed = tmp_path / "net"
    shutil.copytree(folder, changed)
    source = changed / "net.c"
    head, mark, rest = source.read_text().partition("_bias[")
    at = rest.index("{\n") + 2
    source.write_text(head + mark + rest[:at] + "    9" + rest[at:].lstrip())
    code, found = run_json("verify", changed, "--on", port)
    assert code == 1, found
    assert found["differing_elements"] > 0


@pytest.mark.parametrize(
    ("on", "code", "message"),
    [
        ("serial:", 2, "names no port"),
        ("serial:/dev/does-not-exist", 4, "cannot open the serial port"),
        ("nowhere", 2, "serial:PORT"),
    ],
)
def test_a_port_that_is_not_there_ends_in_a_sentence(project, on, code, message):
    folder, _ = project
    for command in ("verify", "profile"):
        ended, values = run_json(command, folder, "--on", on)
        assert ended == code
        assert message in values["error"]


def test_a_board_without_a_device_table_says_what_it_needs(project, tmp_path):
    folder, _ = project
    shutil.copytree(folder, tmp_path / "net")
    target = tmp_path / "net" / "target.toml"
    target.write_text(target.read_text().partition("[device]")[0])
    code, values = run_json("verify", tmp_path / "net", "--on", "serial:/dev/ttyACM0")
    assert code == 2
    assert "[device]" in values["error"]


def test_measuring_on_a_port_that_is_not_there_ends_before_anything_is_built(tmp_path):
    board = load_target("nucleo-f446re")
    key = make_key(Dense(3), ((1, 8),), "dsp")
    with pytest.raises(ToolError, match="cannot open the serial port /dev/does-not-exist"):
        measure(
            [key],
            board,
            cross_toolchain(),
            tmp_path / "table.jsonl",
            runner="serial:/dev/does-not-exist",
        )
    assert not (tmp_path / "table.jsonl").exists()
