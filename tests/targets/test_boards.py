# SPDX-License-Identifier: Apache-2.0
"""Boards are data: every shipped one loads, and each mistake in a file is named."""

from __future__ import annotations

import dataclasses
import math
import struct
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tinytailor.targets import (
    CORES,
    Board,
    Buffer,
    Call,
    Isa,
    load_target,
    port_source,
    run,
    target_names,
)
from tinytailor.targets.board import UNKNOWN_SOURCE
from tinytailor.targets.errors import InputError
from tinytailor.targets.latency_model import CONSTANTS

pytestmark = [pytest.mark.emulator]

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


def shipped_boards() -> dict[str, Board]:
    targets = map(load_target, target_names())
    return {target.name: target for target in targets if isinstance(target, Board)}


def test_the_promised_boards_are_shipped() -> None:
    found = {n: (b.core.name, b.clock_hz // 10**6) for n, b in shipped_boards().items()}
    assert found == {
        "arduino-nano-33-ble": ("cortex-m4", 64),
        "disco-f746ng": ("cortex-m7", 216),
        "mps3-an547": ("cortex-m55", 32),
        "nicla-sense-me": ("cortex-m4", 64),
        "nrf52840dk": ("cortex-m4", 64),
        "nrf5340dk": ("cortex-m33", 128),
        "nucleo-f207zg": ("cortex-m3", 120),
        "nucleo-f446re": ("cortex-m4", 180),
        "nucleo-g0b1re": ("cortex-m0plus", 64),
        "nucleo-h743zi": ("cortex-m7", 480),
        "nucleo-h7a3zi": ("cortex-m7", 280),
        "nucleo-l4r5zi": ("cortex-m4", 120),
        "nucleo-l552ze-q": ("cortex-m33", 80),
        "nucleo-u385rg-q": ("cortex-m33", 96),
        "nucleo-u575zi-q": ("cortex-m33", 160),
        "portenta-h7": ("cortex-m7", 480),
        "rpi-pico": ("cortex-m0plus", 125),
    }
    assert {core for core, _ in found.values()} == set(CORES)


def test_the_fitted_constants_are_those_of_the_fits() -> None:
    """core, flash_load, flash_byte, flash_byte_beyond_cache, per_operator, fetch_byte."""
    found = {
        name: (*(getattr(m, constant) for constant in CONSTANTS), m.fetch_byte)
        for name, board in shipped_boards().items()
        if (m := board.latency_model) is not None and m.calibrated
    }
    assert found == {
        "nicla-sense-me": (1.083, 3.15, 0, 0, 1630, 0.051),
        "nrf5340dk": (1, 0, 0.35, 0, 0, 0),
        "nucleo-f446re": (1.31, 0, 0, 0, 0, 0.062),
        "nucleo-h743zi": (1, 0, 0, 0.33, 0, 0),
        "nucleo-l4r5zi": (1, 0, 1, 0, 0, 0),
        "nucleo-l552ze-q": (1.066, 0, 0.544, 0.462, 2370, 0),
    }


@pytest.mark.parametrize("board", shipped_boards().values(), ids=lambda board: board.name)
def test_every_shipped_board_says_where_each_number_is_from(board: Board) -> None:
    assert UNKNOWN_SOURCE not in dataclasses.astuple(board.sources)
    assert board.device is not None
    if board.latency_model is None:
        assert board.core.cycle_model is None
    elif board.latency.calibrated:
        assert board.latency.source.startswith("fitted on ")
        error = f"mean error {board.latency.error_percent} % on them"
        assert board.latency.trust.startswith(f"fitted on measurements, {error}")
    else:
        assert not board.latency.source.startswith("fitted on ")
        assert board.latency.trust.startswith("uncalibrated, error ")


WHERE = """
#include <stdint.h>
void run(volatile uint32_t *x);
static volatile uint32_t variable = 41;
void run(volatile uint32_t *x)
{
    volatile uint32_t local = ++variable;
    x[0] = (uint32_t)(uintptr_t)&run;
    x[1] = (uint32_t)(uintptr_t)&variable;
    x[2] = (uint32_t)(uintptr_t)&local;
    x[3] = local;
}
"""


@pytest.mark.parametrize(
    "board",
    [board for board in shipped_boards().values() if board.core.emulated_as is not None],
    ids=lambda board: board.name,
)
def test_an_image_runs_in_the_memories_of_every_emulated_board(
    board: Board, build: Callable[..., Path]
) -> None:
    call = Call("run", (Buffer(16, read_back=True),))
    (result,) = run(build(WHERE, board, "run"), board, [call], count=False)
    code, variable, local, value = struct.unpack("<4I", result.outputs[0])
    assert value == 42
    assert board.flash.contains(code)
    assert board.ram.contains(variable)
    assert board.ram.contains(local)


def test_a_users_file_loads(mine: Path) -> None:
    mine.write_text(GOOD)
    board = load_target(str(mine))
    assert isinstance(board, Board)
    assert (board.kind, board.core.isa, board.core.has_fpu) == ("mcu", Isa.DSP, True)
    assert (board.ram.base, board.ram.end) == (0x20000000, 0x20030000)
    assert not board.latency.calibrated  # unless the file says so
    assert board.latency.trust == "uncalibrated, error unknown"
    assert board.sources.ram == UNKNOWN_SOURCE


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
    with pytest.raises(InputError, match="known: "):
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
        ('"cortex-m33"', '"cortex-m99"', "'cortex-m99'; .* known: cortex-m0plus, "),
        ("80_000_000", "0", 'key "clock_hz" is 0; expected a whole number of at least 1'),
        ("80_000_000", "8e7", 'key "clock_hz" is 80000000.0; expected a whole number'),
        ("80_000_000", "true", 'key "clock_hz" is True; expected a whole number'),
        ("80_000_000", "80_000_000\nspeed = 3", 'unknown key "speed".* known here: "name", '),
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


DEVICE = """
[device]
port = "stm32l5"
baud = 115_200
pyocd_target = "stm32l552zetxq"
flash_command = ["openocd", "-f", "mine.cfg", "-c", "program {image} exit"]
"""


def test_a_board_file_says_how_the_real_board_is_reached(mine: Path) -> None:
    mine.write_text(GOOD + DEVICE)
    board = load_target(str(mine))
    assert isinstance(board, Board)
    assert board.device is not None
    assert (board.device.port, board.device.baud) == ("stm32l5", 115_200)
    assert board.device.flash_command is not None
    assert board.device.flash_command[-1] == "program {image} exit"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('port = "stm32l5"', "", 'key "device.port" is missing; expected a text'),
        (
            '"stm32l5"',
            '"../stm32l5"',
            "key .* is .*; expected the name of a port, of small letters",
        ),
        ("115_200", "0", 'key "device.baud" is 0; expected a whole number of at least 1'),
        ("115_200", '"fast"', "key \"device.baud\" is 'fast'; expected a whole number"),
        ('"stm32l552zetxq"', "7", 'key "device.pyocd_target" is 7; expected a text'),
        ("{image}", "my.bin", 'key "device.flash_command" has no {image}; write'),
        ('"openocd"', "1", 'key "device.flash_command" is .*; expected a list of texts'),
        ("baud", "speed = 1\nbaud", 'unknown key "device.speed".* known here: "device.port"'),
    ],
)
def test_a_wrong_fact_of_the_real_board_is_named(
    mine: Path, old: str, new: str, message: str
) -> None:
    assert DEVICE.count(old) == 1
    mine.write_text(GOOD + DEVICE.replace(old, new))
    with pytest.raises(InputError, match=rf"mine\.toml: {message}"):
        load_target(str(mine))


def test_a_port_may_be_a_file_of_the_users_own(mine: Path) -> None:
    own = mine.with_name("mine.c")
    mine.write_text(GOOD + DEVICE.replace('"stm32l5"', f'"{own}"'))
    board = load_target(str(mine))
    assert isinstance(board, Board)
    with pytest.raises(InputError, match=r"mine: its firmware port .*mine\.c is not there"):
        port_source(board)
    own.write_text("")
    assert port_source(board) == own


def test_a_port_that_nobody_wrote_and_a_board_without_one_are_named(mine: Path) -> None:
    mine.write_text(GOOD)
    board = load_target(str(mine))
    assert isinstance(board, Board)
    with pytest.raises(InputError, match=r"mine: its file has no \[device\] table"):
        port_source(board)
    mine.write_text(GOOD + DEVICE.replace('stm32l5"', 'pdp11"'))
    board = load_target(str(mine))
    assert isinstance(board, Board)
    with pytest.raises(InputError, match="mine: no firmware port is called 'pdp11'; known: "):
        port_source(board)


def test_constants_for_a_core_without_a_cycle_model_are_refused(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untimed = dataclasses.replace(CORES["cortex-m33"], cycle_model=None)
    monkeypatch.setattr("tinytailor.targets.board.CORES", {"cortex-m33": untimed})
    mine.write_text(GOOD)
    with pytest.raises(InputError, match='key "latency" is given, but there is no cycle model of'):
        load_target(str(mine))
    mine.write_text(GOOD[: GOOD.index("[latency]")])
    board = load_target(str(mine))
    assert isinstance(board, Board)
    with pytest.raises(InputError, match="mine: there is no cycle model of its core, cortex-m33"):
        _ = board.latency


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
