# SPDX-License-Identifier: Apache-2.0
"""Boards are data: every shipped one loads, and each mistake in a file is named."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import pytest

from tinytailor.targets import CORES, Board, Isa, load_target, target_names
from tinytailor.targets.errors import InputError

GOOD = """\
name = "mine"
core = "cortex-m33"
clock_hz = 80_000_000

[memory]
flash = { base = 0x08000000, bytes = 524_288 }
ram = { base = 0x20000000, bytes = 196_608 }

[latency]
core = 1.066
flash_byte = 0.544
flash_byte_beyond_cache = 0.462
cache_bytes = [4_500, 14_500]
per_operator = 2_370
source = "fitted"
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


@pytest.mark.parametrize("name", target_names())
def test_every_shipped_target_loads_under_its_own_name(name: str) -> None:
    assert load_target(name).name == name


def test_the_promised_boards_are_shipped_with_their_constants() -> None:
    boards = {
        target.name: target
        for target in map(load_target, target_names())
        if isinstance(target, Board)
    }
    timed = {name: board for name, board in boards.items() if board.latency_model is not None}
    found = {n: (b.core.name, b.clock_hz // 10**6, b.latency.core) for n, b in timed.items()}
    assert found == {
        "nucleo-f446re": ("cortex-m4", 180, 1.310),
        "nucleo-l4r5zi": ("cortex-m4", 120, 1.0),
        "nucleo-l552ze-q": ("cortex-m33", 80, 1.066),
        "nrf5340dk": ("cortex-m33", 128, 1.0),
        "nucleo-g0b1re": ("cortex-m0plus", 64, 1.0),
        "nucleo-f207zg": ("cortex-m3", 120, 1.0),
        "nucleo-h743zi": ("cortex-m7", 480, 1.0),
        "mps3-an547": ("cortex-m55", 32, 1.0),
    }
    for name in ("nucleo-g0b1re", "nucleo-f207zg", "nucleo-h743zi", "mps3-an547"):
        assert not boards[name].latency.calibrated
        assert "uncalibrated" in boards[name].latency.source
    assert boards["nucleo-l4r5zi"].latency.flash_byte == 1.0
    assert boards["nrf5340dk"].latency.flash_byte == 0.35
    assert all(board.latency.source for board in timed.values())
    assert {board.core.name for board in boards.values()} == set(CORES)


def test_a_users_file_loads(mine: Path) -> None:
    mine.write_text(GOOD)
    board = load_target(str(mine))
    assert isinstance(board, Board)
    assert (board.kind, board.core.isa, board.core.has_fpu) == ("mcu", Isa.DSP, True)
    assert (board.ram.base, board.ram.end) == (0x20000000, 0x20030000)
    assert board.latency.calibrated


def test_latency_of_an_operator_follows_the_formula(mine: Path) -> None:
    mine.write_text(GOOD)
    board = load_target(str(mine))
    assert isinstance(board, Board)
    small = board.latency.cycles(10_000, 100, 1_000, weight_bytes=4_500)
    half = board.latency.cycles(10_000, 100, 1_000, weight_bytes=9_500)
    large = board.latency.cycles(10_000, 100, 1_000, weight_bytes=10**6)
    assert math.isclose(small, 1.066 * 10_000 + 0.544 * 1_000 + 2_370)
    assert math.isclose(half, small + 0.462 * 1_000 / 2)
    assert math.isclose(large, small + 0.462 * 1_000)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'nucleo-f44'.*nucleo-f446re.*nucleo-l552ze-q"):
        load_target("nucleo-f44")
    with pytest.raises(InputError, match="known are"):
        load_target("../boards/nucleo-f446re")


def test_a_file_that_is_not_there_or_not_toml_is_named(mine: Path) -> None:
    with pytest.raises(InputError, match=r"mine\.toml: cannot be read: No such file"):
        load_target(str(mine))
    mine.write_text("name = \n")
    with pytest.raises(InputError, match=r"mine\.toml: not a TOML file"):
        load_target(str(mine))
    mine.write_text('name = "x"\n')
    with pytest.raises(InputError, match=r'neither the key "core".*nor "part"'):
        load_target(str(mine))


@pytest.mark.parametrize("key", ["name", "clock_hz", "flash", "ram", "source", "cache_bytes"])
def test_a_missing_key_is_named(mine: Path, key: str) -> None:
    lines = GOOD.splitlines()
    del lines[next(i for i, line in enumerate(lines) if line.startswith(f"{key} "))]
    mine.write_text("\n".join(lines))
    with pytest.raises(InputError, match=rf'mine\.toml: key "[a-z.]*{key}" is missing; expected'):
        load_target(str(mine))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"mine"', "7", 'key "name" is 7; expected a text'),
        ('"cortex-m33"', '"cortex-m99"', "'cortex-m99'; expected one of cortex-m0plus, "),
        ("80_000_000", "0", 'key "clock_hz" is 0; expected a whole number of at least 1'),
        ("80_000_000", "8e7", 'key "clock_hz" is 80000000.0; expected a whole number'),
        ("80_000_000", "true", 'key "clock_hz" is True; expected a whole number'),
        ("80_000_000", "80_000_000\nspeed = 3", 'unknown key "speed"; known here are "name", '),
        ("0x20000000", "-4096", 'key "memory.ram.base" is -4096; expected .* at least 0'),
        ("196_608", "-1", 'key "memory.ram.bytes" is -1; expected'),
        ("196_608", "196_607", '"memory.ram.bytes" = 196607 must be multiples of 4096'),
        ("196_608", "196_608, wait = 1", 'unknown key "memory.ram.wait"'),
        ("0x20000000", "0x08001000", '"memory.flash" and "memory.ram" overlap'),
        ("core = 1.066", "core = -1", 'key "latency.core" is -1; expected a number of at least'),
        ("core = 1.066", "core = nan", 'key "latency.core" is nan; expected a number'),
        ("0.544", '"much"', "key \"latency.flash_byte\" is 'much'; expected a number of"),
        ("0.544", "-0.5", 'key "latency.flash_byte" is -0.5; expected a number of at least 0'),
        ("[4_500, 14_500]", "[9, 9]", "cache_bytes.* is \\[9, 9\\]; expected two rising"),
        ("[4_500, 14_500]", "4500", "cache_bytes.* is 4500; expected two rising"),
        ('"fitted"', '"fitted"\ncalibrated = 1', 'key "latency.calibrated" is 1; expected true'),
        ('"fitted"', '"fitted"\nflash_bytes = 1', 'unknown key "latency.flash_bytes"'),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(
    mine: Path, old: str, new: str, message: str
) -> None:
    assert GOOD.count(old) == 1
    mine.write_text(GOOD.replace(old, new))
    with pytest.raises(InputError, match=rf"mine\.toml: (.*)?{message}"):
        load_target(str(mine))


def test_the_wheel_is_told_of_every_file_that_is_not_python(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]
    targets = repository / "targets"
    for path in targets.rglob("*"):
        if not path.is_file() or path.suffix in (".py", ".pyc"):
            continue
        told = [
            path.relative_to(targets.joinpath(*package.split(".")[2:])).match(pattern)
            for package, globs in patterns.items()
            if package.startswith("tinytailor.targets")
            and path.is_relative_to(targets.joinpath(*package.split(".")[2:]))
            for pattern in globs
        ]
        assert any(told), f"{path.relative_to(repository)} is missing from package-data"
