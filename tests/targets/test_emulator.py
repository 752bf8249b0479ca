# SPDX-License-Identifier: Apache-2.0
"""The emulator beside the kit of runners: faults by their place, alignment, stack, its process."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tinytailor.targets import Board, Buffer, Call, run
from tinytailor.targets.errors import CheckError, InputError
from tinytailor.targets.testing.call_programs import PROGRAM, functions, number, value_of

pytestmark = [pytest.mark.emulator]

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33")


@pytest.fixture(params=CORES)
def board(request: pytest.FixtureRequest, board_of: Callable[[str], Board]) -> Board:
    return board_of(request.param)


@pytest.fixture
def m4(board_of: Callable[[str], Board]) -> Board:
    return board_of("cortex-m4")


@pytest.fixture
def image_for(build: Callable[..., Path]) -> Callable[[Board], Path]:
    return lambda board: build(PROGRAM, board, *functions(PROGRAM))


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
