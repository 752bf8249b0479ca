# SPDX-License-Identifier: Apache-2.0
"""The ports of real chips: they compile without a warning, and QEMU has the UART of one.

QEMU lacks the clock of that chip, so that the firmware has to say what did not start, on the clock
it was reset to.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest
from qemu_board import EXAMPLE, Machine

from tinytailor.targets import Board, cross_flags, cross_toolchain, load_target, target_names
from tinytailor.targets.board import port_source
from tinytailor.targets.errors import InputError, ToolError
from tinytailor.targets.serial import Timing, open_device
from tinytailor.targets.serial.firmware import HARNESS

pytestmark = [pytest.mark.emulator, pytest.mark.qemu]

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
WITHOUT_PORT = {"nucleo-h7a3zi", "nucleo-u385rg-q", "nucleo-u575zi-q", "portenta-h7"}


def boards() -> list[Board]:
    targets = [load_target(name) for name in target_names()]
    return [target for target in targets if isinstance(target, Board)]


def test_every_port_and_the_harness_compile_without_a_warning(tmp_path):
    try:
        toolchain = cross_toolchain("gcc")  # zig does not check without compiling
    except ToolError as error:
        pytest.skip(str(error))
    cores = set()
    for board in boards():
        if board.name in WITHOUT_PORT:
            continue
        files = [port_source(board)]
        if board.core.name not in cores:
            files += HARNESS.glob("*.c")
        cores.add(board.core.name)
        command = [*toolchain.command, *cross_flags(board, toolchain), *WARNINGS, "-fsyntax-only"]
        subprocess.run([*command, *map(str, files)], check=True, timeout=120, cwd=tmp_path)
    assert len(cores) == 6


def test_the_port_in_the_documentation_compiles(repository, tmp_path):
    page = (repository / "docs" / "boards.md").read_text()
    source = tmp_path / "my_port.c"
    source.write_text(page.partition("```c\n")[2].partition("```")[0])
    board, toolchain = boards()[0], cross_toolchain()
    command = [*toolchain.command, *cross_flags(board, toolchain), *WARNINGS, "-I", str(HARNESS)]
    done = [*command, "-c", str(source), "-o", str(tmp_path / "my_port.o")]
    subprocess.run(done, check=True, timeout=60)
    assert (tmp_path / "my_port.o").stat().st_size > 0


def test_boards_without_a_port_say_so_and_which_there_are():
    refused = set()
    for board in boards():
        try:
            port_source(board)
        except InputError as error:
            refused.update({board.name} if "known: " in str(error) else ())
    assert refused == WITHOUT_PORT


def test_every_port_of_a_chip_says_that_it_was_never_run_on_it():
    for path in (HARNESS / "ports").glob("*.c"):
        if path.stem != "cmsdk":
            head = path.read_text().partition("*/")[0]
            assert "never run on the board" in " ".join(head.replace("*", " ").split())


def test_a_port_of_the_users_own_is_a_file_named_in_the_board_file(tmp_path):
    mine = tmp_path / "mine.c"
    text = (EXAMPLE / "mps2-an386.toml").read_text()
    (tmp_path / "own.toml").write_text(text.replace('"cmsdk"', f'"{mine}"'))
    own = load_target(str(tmp_path / "own.toml"))
    assert isinstance(own, Board)
    with pytest.raises(InputError, match=r"mine\.c is not there"):
        port_source(own)
    mine.write_text('#include "port.h"\n')
    assert port_source(own) == mine


def test_the_uart_of_a_chip_tells_which_part_of_its_clock_did_not_start(firmware_of, tmp_path):
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not on PATH")
    board = load_target("nucleo-f446re")
    assert isinstance(board, Board)
    firmware = firmware_of(board)
    options = ("-serial", "null")  # the first of its USARTs is not the one of the port
    device = Machine(firmware.elf, board, tmp_path, "netduinoplus2", options)
    try:
        with open_device(device.line.url, board, timing=Timing(answer_s=1.0, tries=5)) as found:
            assert found.hello.board == "nucleo-f446re"
            assert found.hello.port_failure == "its flash did not take the wait states"
            assert found.hello.clock_hz == 16_000_000
            assert not found.hello.simulated
            with pytest.raises(ToolError, match="does not run at its clock: its flash"):
                found.expect(firmware)
    finally:
        device.close()
