# SPDX-License-Identifier: Apache-2.0
"""What is said of a misspelt name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinytailor.latency_tables.measuring.pool import Pool
from tinytailor.targets import load_target, require_board, target_names
from tinytailor.targets.errors import InputError
from tinytailor.targets.names import SHOWN, likely, no_such
from tinytailor.targets.runners import run_on
from tinytailor.targets.toolchain import cross_toolchain

pytestmark = [pytest.mark.pure]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("nucleo-f446", ["nucleo-f446re"]),
        ("NUCLEO-F446RE", ["nucleo-f446re"]),
        ("nucelo-f446re", ["nucleo-f446re"]),
        ("pico", ["rpi-pico"]),
        ("h743", ["nucleo-h743zi"]),
        ("microbit", []),
        ("", []),
    ],
)
def test_a_misspelt_a_shortened_and_a_capitalized_name_are_recognized(written, meant):
    assert likely(written, target_names())[:1] == meant


def test_the_sentence_says_what_may_have_been_meant_and_what_there_is():
    error = no_such("no fruit is called 'aple'", "aple", ("apple", "pear"), end="or a number")
    assert str(error) == (
        "no fruit is called 'aple'; did you mean apple? known: apple, pear, or a number"
    )
    assert str(no_such("no fruit is called 'x'", "x", ())) == "no fruit is called 'x'; known: none"


def test_a_long_list_is_cut_and_says_where_all_of_it_is():
    many = [f"name{number}" for number in range(SHOWN + 3)]
    text = str(no_such("none is called 'q'", "q", many, listed_by="`tinytailor ops`"))
    assert text.endswith(f"name{SHOWN - 1} and 3 more (`tinytailor ops` lists all)")
    assert f"name{SHOWN}," not in text


def test_a_name_may_be_shown_with_what_it_is():
    error = no_such("no array 'X'", "X", {"x": "x int8 (4, 6)", "y": "y int64 (4,)"})
    assert "did you mean x? known: x int8 (4, 6), y int64 (4,)" in str(error)


def test_targets_runners_compilers_and_back_ends_are_suggested():
    board = require_board(load_target("nucleo-f446re"), "running")
    for wrong, meant in (
        (lambda: load_target("nucleo-l4r5"), "no target is called 'nucleo-l4r5'; did you mean "),
        (lambda: run_on("emulater", Path(), board, ()), "'emulater'; did you mean emulator?"),
        (lambda: cross_toolchain("gc"), "'gc' (TINYTAILOR_CC); did you mean gcc?"),
        (lambda: Pool(1, "lokky"), "'lokky'; did you mean loky?"),
    ):
        with pytest.raises(InputError) as caught:
            wrong()
        assert meant in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "fragment"),
    [
        ("color = 1", 'unknown key "color"; did you mean core? known here: "name"'),
        ('core = "cortex-m4f"', "key \"core\" is 'cortex-m4f'; did you mean cortex-m4"),
    ],
)
def test_a_misspelt_key_or_word_of_a_board_file_is_suggested(tmp_path, wrong, fragment):
    lines = load_target("nucleo-f446re").definition.splitlines()
    key = wrong.split()[0]
    kept = [line for line in lines if line.split()[:1] != [key]]
    path = tmp_path / "mine.TOML"
    path.write_text("\n".join([wrong, *kept]))
    with pytest.raises(InputError) as caught:
        load_target(str(path))
    assert fragment in str(caught.value)


def test_a_misspelt_key_is_pointed_to_where_it_is_missed(tmp_path):
    path = tmp_path / "mine.toml"
    for wrong, fragment in (
        ("clock", '"clock_hz" is missing; expected a whole number of at least 1; "clock" may be'),
        ("speed", '"clock_hz" is missing; expected a whole number of at least 1.'),
    ):
        path.write_text(load_target("nucleo-f446re").definition.replace("clock_hz", wrong, 1))
        with pytest.raises(InputError) as caught:
            load_target(str(path))
        assert fragment in str(caught.value)
