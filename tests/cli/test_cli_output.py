# SPDX-License-Identifier: Apache-2.0
"""What tables and progress look like on terminals of any width, and in a pipe."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from tinytailor.cli.output import console_of, rounded
from tinytailor.cli.progress import LINE_SECONDS, Lines, duration, stages, steps
from tinytailor.cli.report import draw
from tinytailor.cli.tables import LEAST, draw_table, table_lines
from tinytailor.compiler.sections import Section, macs_text
from tinytailor.latency_tables.budget import parse_latency

pytestmark = [pytest.mark.pure]

KEY = "depthwise_conv2d 1x32x32x24 (kernel=3x3, strides=1x1, pads=1x1x1x1) on dsp"
COLUMNS = ("operator", "cycles", "code", "cycles are")
ROWS = [(KEY, "1234567", "200", "modelled"), ("dense 1x24", "5", "16", "measured")]
RIGHT = (1, 2)


def words(lines: list[str]) -> list[str]:
    return " ".join(lines).split()


def test_in_a_pipe_every_row_is_one_whole_line():
    assert table_lines(COLUMNS, ROWS, right=RIGHT) == [
        f"operator{' ' * (len(KEY) - 8)}   cycles  code  cycles are",
        f"{KEY}  1234567   200  modelled",
        f"dense 1x24{' ' * (len(KEY) - 10)}        5    16  measured",
    ]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_on_a_terminal_the_key_is_folded_and_nothing_cut(width):
    lines = table_lines(COLUMNS, ROWS, right=RIGHT, width=width)
    assert sorted(words(lines)) == sorted(words([" ".join(row) for row in [COLUMNS, *ROWS]]))
    assert "…" not in "".join(lines)
    assert any(re.search(r"\b1234567 +200 ", line) for line in lines), "numbers stay whole"
    if width >= 80:
        assert max(map(len, lines)) <= width
    if width == 200:
        assert lines == table_lines(COLUMNS, ROWS, right=RIGHT)


def test_folded_columns_keep_a_readable_width():
    lines = table_lines(COLUMNS, ROWS, right=RIGHT, width=10)
    assert lines[0].index("cycles") > LEAST
    assert "" not in lines


def test_a_word_longer_than_its_column_is_broken_and_not_cut():
    name = "functional_1/conv3d_1/convolution;" * 4
    lines = table_lines(("layer", "ms"), [(name, "0.125")], right=(1,), width=40)
    assert "".join(line.replace("0.125", "").strip() for line in lines[1:]) == name


def test_a_table_without_a_head_or_rows_has_no_empty_lines():
    assert table_lines(("", ""), [("a", "b"), ("long", "")]) == ["a     b", "long"]
    assert table_lines(("only", "heads"), []) == ["only  heads"]


def test_sections_are_coloured_on_a_terminal_only():
    section = Section("Layers", ("layer", "ms"), [("conv", "0.25"), ("dense", "10.5")])
    terminal, pipe = io.StringIO(), io.StringIO()
    draw(Console(file=terminal, force_terminal=True, color_system="standard"), [section])
    draw(console_of(pipe), [section])
    assert "\x1b[1mlayer  ms\x1b[0m" in terminal.getvalue()
    assert pipe.getvalue() == "Layers\nlayer  ms\nconv   0.25\ndense  10.5\n\n"


def test_what_is_piped_is_plain_whatever_the_environment_says(cli, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    text = cli("targets").stdout
    assert text.isascii(), "neither boxes nor escape codes"
    assert "\x1b" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("nucleo-f446re ")]
    assert line.endswith("mean error 1.9 % on them; code fetch fitted on additions alone")


def test_a_terminal_of_any_width_shows_all_of_a_description(monkeypatch):
    for width in (40, 80, 200):
        file = io.StringIO()
        console = Console(file=file, force_terminal=True, color_system=None, width=width)
        draw_table(console, ("name", "from"), [("clock", "Zephyr RTOS " * 9)])
        assert words([file.getvalue()]).count("Zephyr") == 9
        assert max(map(len, file.getvalue().splitlines())) <= width


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_progress_without_a_terminal_is_a_line_at_both_ends_and_every_ten_seconds():
    said: list[str] = []
    clock = Clock()
    lines = Lines(said.append, clock)
    for done in range(0, 81):
        lines.at("trial 1/2: search", done, 80, "0.512" if done else "")
        clock.now += 0.5
    for done in (1, 2, 2):
        lines.at("trial 1/2: short training", done, 2)
    assert said == [
        "trial 1/2: search: begun, 80 steps",
        "trial 1/2: search: 20 of 80, 0.512, about 30 s left",
        "trial 1/2: search: 40 of 80, 0.512, about 20 s left",
        "trial 1/2: search: 60 of 80, 0.512, about 10 s left",
        "trial 1/2: search: done, 80 of 80 in 40 s, 0.512",
        "trial 1/2: short training: 1 of 2",
        "trial 1/2: short training: done, 2 of 2 in 0 s",
    ]
    assert LINE_SECONDS == 10


def test_the_time_left_is_told_from_what_was_done_now_and_not_before():
    said: list[str] = []
    clock = Clock()
    lines = Lines(said.append, clock)
    lines.at("operators measured", 900, 1000)
    clock.now += 20
    lines.at("operators measured", 950, 1000)
    clock.now += 20
    lines.at("operators measured", 1000, 1000)
    clock.now += 3
    lines.at("prepare", 1, 1, "data")
    assert said == [
        "operators measured: 900 of 1000",
        "operators measured: 950 of 1000, about 20 s left",
        "operators measured: done, 1000 of 1000 in 40 s",
        "prepare: done, 1 of 1 in 3 s, data",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (250, "4 min 10 s"), (7500, "2 h 5 min")],
)
def test_a_duration_is_as_exact_as_one_cares_to_know(seconds, text):
    assert duration(seconds) == text


def test_few_operations_are_counted_and_not_rounded_to_zero():
    assert [macs_text(macs) for macs in (3456, 2_660_000)] == ["3456 MAC", "2.66 MMAC"]


def test_numbers_in_json_have_no_noise_of_sums():
    values = {"ms": 0.1 + 0.2, "rows": [(1e3 / 3, 7, True, None, "0.30000000000000004")]}
    expected = {"ms": 0.3, "rows": [[333.333333333, 7, True, None, "0.30000000000000004"]]}
    assert rounded(values) == expected
    scale = 0.019999999552965164
    for exact in (scale, 1e300, 0.1, 7):
        assert rounded(exact) == exact, "a float32, as scales are, or short"
    assert [parse_latency(text) for text in ("700us", "1.1ms", "0.0011s")] == [0.7, 1.1, 1.1]


def test_stages_and_steps_write_plain_lines_to_what_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with stages() as at:
        at("train", 0, 2, "")
        at("train", 2, 2, "0.25")
    with steps(2, quiet=False) as begin:
        begin("reading x.onnx")
        begin("compiling")
    with steps(2, quiet=True) as begin:
        begin("nothing")
    assert capsys.readouterr().err.splitlines() == [
        "train: begun, 2 steps",
        "train: done, 2 of 2 in 0 s, 0.25",
        "reading x.onnx",
        "compiling",
    ]
