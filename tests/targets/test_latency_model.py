# SPDX-License-Identifier: Apache-2.0
"""The latency model of a board: what code costs that is fetched again, two sets of constants, and
what is said of both."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tinytailor.targets import FETCH_CACHES, Board, LatencyModel, load_target, target_names
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.pure]

GOOD = """\
name = "mine"
core = "cortex-m4"
clock_hz = 80_000_000

[memory]
flash = { base = 0x08000000, bytes = 524_288 }
ram = { base = 0x20000000, bytes = 196_608 }

[latency]
core = 1.5
flash_byte = 1.0
fetch_cache_bytes = 1_024
fetch_byte = 0.25
fetch_source = "a manual"
caveat = "measured in the dark"
calibrated = true
source = "fitted on two networks: mean error 1 %"

[latency.alternative]
core = 1.75
flash_byte = 0.5
source = "fits as well"
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    return path


def model_of(path: Path) -> LatencyModel:
    board = load_target(str(path))
    assert isinstance(board, Board)
    return board.latency


def test_only_what_the_boards_cache_fetches_again_costs_anything(mine: Path) -> None:
    model = model_of(mine)
    plain = model.cycles(1_000, 5, 200, 0)
    assert plain == 1.5 * 1_000 + 1.0 * 200
    assert model.cycles(1_000, 5, 200, 0, fetched=(9_000, 8_000)) == plain  # fits in 1 KiB
    assert model.cycles(1_000, 5, 200, 0, fetched=(9_000, 8_000, 400)) == plain + 0.25 * 400
    largest = (1,) * len(FETCH_CACHES)
    assert model.cycles(1_000, 5, 200, 0, fetched=largest) == plain + 0.25


@pytest.mark.parametrize("line", ["fetch_byte = 0.25\n", "fetch_cache_bytes = 1_024\n"])
def test_without_a_size_or_a_cost_code_is_free(mine: Path, line: str) -> None:
    text = GOOD.replace("fetch_byte = 0.25\n", "").replace(line, "")
    mine.write_text(text)
    model = model_of(mine)
    assert model.cycles(1_000, 0, 0, 0, fetched=(1 << 20,) * 9) == 1.5 * 1_000


def test_two_sets_of_constants_give_the_lower_and_the_higher_time(mine: Path) -> None:
    model = model_of(mine)
    for core, read, range_ in ((1_000, 100, (1_600, 1_800)), (100, 1_000, (675, 1_150))):
        assert model.range_of(lambda m, c=core, r=read: m.cycles(c, 0, r, 0)) == range_
    again = model.range_of(lambda m: m.cycles(0, 0, 0, 0, fetched=(0, 0, 8)))
    assert again == (2, 2)  # both sets have the costs of fetching
    mine.write_text(GOOD[: GOOD.index("[latency.alternative]")])
    assert model_of(mine).range_of(lambda m: m.core) is None


def test_the_caveat_is_said_with_the_trust_and_the_facts_name_every_constant(mine: Path) -> None:
    board = load_target(str(mine))
    assert board.trust == "fitted on measurements; measured in the dark"
    facts = {(what.strip(), value): source for what, value, source in board.facts()}
    assert facts["code fetch", "cache of 1 KiB: 0.25 cycles a byte beyond"] == "a manual"
    assert facts["or", "as well possible"] == "fits as well"
    assert {("core", "1.5"), ("core", "1.75"), ("flash_byte", "0.5")} <= facts.keys()
    mine.write_text(GOOD.replace("fetch_byte = 0.25\n", ""))
    values = {value for _, value, _ in load_target(str(mine)).facts()}
    assert "cache of 1 KiB: not modelled" in values


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("= 1_024", "= 1_000", "fetch_cache_bytes.* is 1000; expected one of 256, 512, .*65536"),
        ("= 1_024", "= 64", "fetch_cache_bytes.* is 64; expected a whole number of at least 256"),
        ("= 0.25", "= -1", 'key "latency.fetch_byte" is -1; expected a number of at least 0'),
        (
            "fetch_cache_bytes = 1_024\n",
            "",
            'key "latency.fetch_cache_bytes" is missing; expected .* "latency.fetch_byte" is set',
        ),
        ('"a manual"', "3", 'key "latency.fetch_source" is 3; expected a text'),
        ('"measured in the dark"', '" "', "key \"latency.caveat\" is ' '; expected a text"),
        ("core = 1.75\n", "", 'key "latency.alternative.core" is missing; expected'),
        ('"fits as well"', "7", 'key "latency.alternative.source" is 7; expected a text'),
        ("core = 1.75", "core = 1.75\nfetch_byte = 1", 'unknown key "latency.alternative.fetch_b'),
        ("core = 1.75", "core = 1.75\nflash_byte_beyond_cache = 1", "alternative.cache_bytes.* is"),
        ("caveat", "caveats", 'unknown key "latency.caveats"; did you mean caveat\\?'),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(
    mine: Path, old: str, new: str, message: str
) -> None:
    assert GOOD.count(old) == 1
    mine.write_text(GOOD.replace(old, new))
    with pytest.raises(InputError, match=rf"mine\.toml: (.*)?{message}"):
        load_target(str(mine))


def test_what_one_number_alone_says_or_nobody_modelled_is_said_with_every_time() -> None:
    found = {name: load_target(name).trust for name in target_names()}
    assert found["nucleo-f446re"].endswith("; code fetch fitted on additions alone")
    assert found["nicla-sense-me"].endswith("; code fetch fitted on additions alone")
    assert found["nucleo-l4r5zi"].endswith("; flash term 0.5 to 1 cycle a byte")
    assert found["nucleo-h743zi"].endswith("mean error 3.8 % on them; measured at 400 MHz")
    assert found["nucleo-g0b1re"].endswith("; code fetch not modelled")
    assert found["rpi-pico"].endswith("; misses of the XIP cache not modelled")


def test_every_size_of_a_cache_says_where_it_is_from_and_whether_it_costs() -> None:
    boards = [load_target(name) for name in target_names()]
    models = [b.latency for b in boards if isinstance(b, Board) and b.latency_model is not None]
    sized = [model for model in models if model.fetch_cache_bytes is not None]
    assert len(sized) >= 10
    for model in sized:
        assert model.fetch_source is not None
        assert ("not modelled" in model.fetch_source) == (model.fetch_byte == 0)


def test_the_cost_of_the_flash_of_a_cortex_m7_begins_where_its_data_cache_ends() -> None:
    board = load_target("nucleo-h743zi")
    assert isinstance(board, Board)
    small, half, large = (board.latency.cycles(0, 9, 1_000, w) for w in (12_288, 22_528, 65_536))
    assert small == 0
    assert math.isclose(half, 165)
    assert math.isclose(large, 330)
