# SPDX-License-Identifier: Apache-2.0
"""Calls on the emulated core: arguments, regions, stack depth, and everything that goes wrong."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from call_programs import FUNCTIONS, PROGRAM, number, value_of

from tinytailor.targets import Board, Buffer, Call, run
from tinytailor.targets.errors import CheckError, InputError

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33")


@pytest.fixture(params=CORES)
def board(request: pytest.FixtureRequest, board_of: Callable[[str], Board]) -> Board:
    return board_of(request.param)


@pytest.fixture
def m4(board_of: Callable[[str], Board]) -> Board:
    return board_of("cortex-m4")


@pytest.fixture
def image_for(build: Callable[..., Path]) -> Callable[[Board], Path]:
    return lambda board: build(PROGRAM, board, *FUNCTIONS)


def test_pointers_beyond_the_fourth_are_passed_on_the_stack(
    board: Board, image_for: Callable[[Board], Path]
) -> None:
    inputs = tuple(Buffer(4, struct.pack("<i", i)) for i in range(1, 6))
    (result,) = run(image_for(board), board, [Call("sum6", (*inputs, number(0)))])
    assert [value_of(data) for data in result.outputs] == [54321]


def test_what_a_region_calls_counts_for_the_region(
    board: Board, image_for: Callable[[Board], Path]
) -> None:
    image, call = image_for(board), Call("outer", (number(20),))
    regions = {"first": "1", "second": "2", "third": "3"}
    (split,) = run(image, board, [call], regions=regions)
    (whole,) = run(image, board, [call])
    loads = {name: count.flash_loads for name, count in split.counts.items()}
    literals = loads["1"] - 3 * 20  # literal pools, the same in the three
    assert loads["2"] - loads["1"] == 3 * 20
    assert loads["3"] - loads["2"] in (3 * 20, 3 * 20 - 3)  # third itself touches no literal
    assert 0 <= literals <= 3 * 4
    for field in ("instructions", "core_cycles", "flash_loads", "flash_bytes"):
        parts = sum(getattr(count, field) for count in split.counts.values())
        assert parts == getattr(whole.counts[""], field), field
    assert 0 < split.counts[""].instructions < 100


def test_an_inner_region_counts_for_itself_and_regions_share_names(
    m4: Board, image_for: Callable[[Board], Path]
) -> None:
    regions = {"first": "a", "second": "a", "third": "a", "shared": "b"}
    calls = [Call("outer", (number(20),)), Call("only_shared", (number(20),))]
    outer, only = run(image_for(m4), m4, calls, regions=regions)
    assert outer.counts["b"].flash_loads - 9 * 1 <= 3 * (1 + 2 + 3) * 20 + 9
    assert outer.counts["b"].instructions > 10 * outer.counts["a"].instructions
    assert only.counts["a"].instructions == 0
    assert only.counts["b"].instructions > 0
    assert only.counts[""].instructions < 15


def test_a_region_that_is_called_directly_gets_everything(
    m4: Board, image_for: Callable[[Board], Path]
) -> None:
    calls = [Call("outer", (number(3),))]
    (result,) = run(image_for(m4), m4, calls, regions={"outer": "all"})
    assert result.counts[""].instructions == 0
    assert result.counts["all"].instructions > 100


def test_stack_depth_is_what_was_written(board: Board, image_for: Callable[[Board], Path]) -> None:
    calls = [
        Call("nothing", (number(0),)),
        Call("deep", (number(9),)),
        Call("nothing", (number(0),)),
    ]
    results = run(image_for(board), board, calls, count=False)
    assert [result.stack_bytes for result in results[::2]] == [0, 0]
    assert 2000 <= results[1].stack_bytes <= 2032
    assert value_of(results[1].outputs[0]) == 9


def test_buffers_are_aligned_and_written_afresh_for_each_call(
    m4: Board, build: Callable[..., Path]
) -> None:
    text = (
        "#include <stdint.h>\\nvoid run(uint8_t *x, uint8_t *y, uint32_t *z);"
        "void run(uint8_t *x, uint8_t *y, uint32_t *z)"
        "{ z[0] = (uintptr_t)x; z[1] = (uintptr_t)y; z[2] = x[0]++; z[3] = y[0]++; }"
    ).replace("\\n", "\n")
    image = build(text, m4, "run")
    call = Call("run", (Buffer(3, b"abc"), Buffer(5), Buffer(16, read_back=True)))
    for result in run(image, m4, [call, call], count=False):
        x, y, a, b = struct.unpack("<4I", result.outputs[0])
        assert x % 16 == y % 16 == 0
        assert (chr(a), b) == ("a", 0xA5)


@pytest.mark.parametrize("count", [False, True])
@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("read_nowhere", r"read_nowhere\+0x[0-9a-f]+\).*Invalid memory read"),
        ("write_flash", r"write_flash\+0x[0-9a-f]+\).*Write to write-protected memory"),
        ("undefined", r"undefined\+0x[0-9a-f]+\)"),
        ("service", r"service\+0x[0-9a-f]+\)"),
        ("forever", r"forever\+0x[0-9a-f]+\).*did not return within 0.3 s"),
    ],
)
def test_a_fault_names_the_call_and_the_place(
    m4: Board, image_for: Callable[[Board], Path], symbol: str, message: str, count: bool
) -> None:
    calls = [Call("nothing", (number(0),)), Call(symbol, (number(0),))]
    with pytest.raises(CheckError, match=rf"call 1 \({symbol}\) of .* at pc 0x08.*{message}"):
        run(image_for(m4), m4, calls, count=count, timeout_s=0.3)


@pytest.mark.parametrize("count", [False, True])
def test_an_unaligned_load_faults_only_where_the_core_forbids_it(
    board: Board, image_for: Callable[[Board], Path], count: bool
) -> None:
    calls = [Call("unaligned", (Buffer(8, bytes(range(8)), read_back=True),))]
    if board.core.aligned_only:
        with pytest.raises(CheckError, match=r"\(unaligned\+.*an unaligned access"):
            run(image_for(board), board, calls, count=count)
    else:
        (result,) = run(image_for(board), board, calls, count=count)
        assert value_of(result.outputs[0][:4]) == 0x04030201


def test_an_unaligned_load_of_several_registers_faults_on_every_core(
    board: Board, image_for: Callable[[Board], Path]
) -> None:
    calls = [Call("unaligned_pair", (Buffer(16, bytes(16)),))]
    with pytest.raises(CheckError, match=r"\(unaligned_pair\+.*an unaligned access"):
        run(image_for(board), board, calls)


def test_a_stack_that_runs_into_the_buffers_is_an_error(
    m4: Board, image_for: Callable[[Board], Path]
) -> None:
    buffer = Buffer(m4.ram.bytes - 4096, struct.pack("<i", 400).ljust(m4.ram.bytes - 4096, b"\0"))
    with pytest.raises(CheckError, match=r"recursive.*the stack overflowed the \d+ bytes"):
        run(image_for(m4), m4, [Call("recursive", (buffer,))])


def test_what_does_not_fit_or_does_not_exist_is_an_input_error(
    m4: Board, image_for: Callable[[Board], Path], board_of: Callable[[str], Board]
) -> None:
    image = image_for(m4)
    with pytest.raises(InputError, match="131072 bytes of RAM of nucleo-f446re"):
        run(image, m4, [Call("nothing", (Buffer(131_000),))])
    with pytest.raises(InputError, match="no function 'nobody'"):
        run(image, m4, [Call("nobody", ())])
    with pytest.raises(InputError, match="no function 'nobody'"):
        run(image, m4, [Call("nothing", (number(1),))], regions={"nobody": "x"})
    with pytest.raises(InputError, match="4 bytes was given 3 bytes"):
        Buffer(4, b"abc")


def test_progress_ends_at_the_number_of_calls(
    m4: Board, image_for: Callable[[Board], Path]
) -> None:
    seen: list[int] = []
    calls = [Call("nothing", (number(0),))] * 50
    assert len(run(image_for(m4), m4, calls, on_progress=seen.append)) == 50
    assert seen == sorted(seen)
    assert seen[-1] == 50


def test_only_the_worker_imports_unicorn(repository: Path) -> None:
    packages = ("targets", "compiler", "latency_tables", "nas", "cli")
    importing = re.compile(r"^\s*(?:import|from)\s+unicorn\b|import_module\(.unicorn", re.MULTILINE)
    found = {
        path.relative_to(repository).as_posix()
        for package in packages
        for path in (repository / package).rglob("*.py")
        if importing.search(path.read_text())
    }
    assert found == {"targets/emulator/worker.py"}
    naming = re.compile(r"targets\.emulator\.worker\b")
    importers = [
        path
        for package in packages
        for path in (repository / package).rglob("*.py")
        if re.search(r"^\s*(?:from|import) .*emulator(?:\.| import )worker", path.read_text(), re.M)
    ]
    assert not importers
    assert naming.search((repository / "targets/emulator/job.py").read_text())
