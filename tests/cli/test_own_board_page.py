# SPDX-License-Identifier: Apache-2.0
"""docs/own-board.md: its file is a board, and its commands print what it says."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest

from tinytailor.latency_tables import LatencyTable
from tinytailor.latency_tables.measuring.shipped import shipped_path
from tinytailor.targets import load_target

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]


@pytest.fixture(scope="module")
def page(repository) -> str:
    return (repository / "docs" / "own-board.md").read_text()


@pytest.fixture
def board_file(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    start = page.index("    name  =")
    monkeypatch.chdir(tmp_path)
    path = Path("nucleo-f411re.toml")
    path.write_text(textwrap.dedent(page[start : page.index("Is it read")]))
    return path


def shown_after(page: str, command: str) -> list[str]:
    """The lines that the page shows under a command."""
    lines = page[page.index(f"    $ {command}") :].split("\n\n")[0].splitlines()[1:]
    return [" ".join(line.split()) for line in lines]


def plain(text: str) -> str:
    return " ".join(text.replace("│", " ").replace("┃", " ").split())


def test_targets_shows_the_file_as_the_page_does(cli, page, board_file, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    result = cli("targets", f"./{board_file}")
    assert result.exit_code == 0, result.stderr
    shown = plain(result.stdout)
    lines = shown_after(page, "tinytailor targets")
    assert len(lines) == 6
    assert [line for line in lines if line not in shown] == []


def test_a_misspelt_key_is_named_as_on_the_page(cli, page, board_file):
    board_file.write_text(board_file.read_text().replace("clock_hz", "clock"))
    result = cli("targets", f"./{board_file}")
    assert result.exit_code == 2
    assert shown_after(page, "tinytailor targets ./nucleo-f411re.toml     #") == [
        " ".join(result.stderr.split())
    ]


def test_the_model_takes_what_the_benchmark_says(page, board_file, repository):
    """It compiled the model for another Cortex-M4: the same code, timed with other constants."""
    counts = json.loads((repository / "benchmarks" / "board_counts.json").read_text())["counts"]
    counted = counts["kws cortex-m4"]
    board = load_target(str(board_file))
    core_cycles = counted["glue_core_cycles"] + sum(layer[0] for layer in counted["layers"])
    expected = [
        *(counted[key] for key in ("arena_bytes", "ram_bytes", "flash_bytes")),
        board.latency.core * core_cycles / board.clock_hz * 1e3,
    ]
    shown = " ".join(shown_after(page, "tinytailor compile"))
    said = re.search(
        r"arena (\d+) B, RAM (\d+) B, flash (\d+) B, .* MMAC, ([\d.]+) ms \((.*)\)", shown
    )
    *numbers, trust = said.groups()
    # The page may have been written by a version whose code was a little different.
    assert [float(number) for number in numbers] == pytest.approx(expected, rel=0.02)
    assert trust == f"modelled; {board.latency.trust}"
    assert f"{numbers[-1]} ms" in " ".join(shown_after(page, "tinytailor profile"))


def test_operators_of_a_known_core_take_what_the_page_says(page, board_file):
    """The counts that ship for the core, with the constants of the page's board."""
    table = LatencyTable.load(shipped_path("cortex-m4", "micronas:100x6x4"))
    model = load_target(str(board_file)).latency
    lines = shown_after(page, "tinytailor measure")
    assert f"{len(table)} rows come from the shipped table micronas-100x6x4" in lines
    assert f"{len(table)} of {len(table)} operators are there, 0 are measured now" in lines[1]
    for kind, rows, new, failed, low, high in (line.split() for line in lines[3:-1]):
        cycles = [r.cycles_under(model) for key, r in table.rows.items() if key.kind == kind]
        assert (int(rows), int(new), int(failed)) == (len(cycles), 0, 0)
        assert [int(low), int(high)] == pytest.approx([min(cycles), max(cycles)], rel=0.02)
