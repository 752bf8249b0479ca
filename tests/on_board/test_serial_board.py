# SPDX-License-Identifier: Apache-2.0
"""The firmware on QEMU's UART, over a line that loses, adds and changes bytes."""

from __future__ import annotations

import random
import shutil
import socket
import struct
import subprocess
import time
from dataclasses import replace

import pytest
from qemu_board import qemu_board

from tinytailor.targets import Buffer, Call, run_on
from tinytailor.targets.board import Device
from tinytailor.targets.errors import CheckError, InputError, ToolError
from tinytailor.targets.serial import Timing, open_device, read_firmware, run
from tinytailor.targets.serial.flashing import flash, flash_command
from tinytailor.targets.serial.protocol import Decoder, Request

pytestmark = [pytest.mark.emulator, pytest.mark.qemu]

QUICK = Timing(answer_s=0.3, call_s=5.0, tries=8)


def word(value: int) -> Buffer:
    return Buffer(4, struct.pack("<i", value), constant=True)


OUT = Buffer(4, read_back=True)
SUM = Call("sum", (word(40), word(2), OUT))
DATA = random.Random(3).randbytes(3000)
COPY = Call("copy", (Buffer(3000, DATA, constant=True), Buffer(3000, read_back=True)))
SPIN = Call("spin", (word(2_000_000), OUT))


def value(data: bytes) -> int:
    return int(struct.unpack("<i", data)[0])


@pytest.mark.parametrize(
    ("name", "compiler"),
    [("nucleo-f446re", "gcc"), ("nucleo-l552ze-q", "zig"), ("mps3-an547", "gcc")],
)
def test_functions_of_one_image_run_by_name_on_every_kind_of_core(
    start, firmware_of, name, compiler
):
    if compiler == "gcc" and shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    board = qemu_board(name)
    firmware = firmware_of(board, compiler)
    url = start(firmware, board).line.url
    calls = [SUM, COPY, Call("deep", (OUT,)), Call("add_one", (Buffer(4, bytes(4), True),))]
    summed, copied, deep, once = run_on(f"serial:{url}", firmware.elf, board, calls)
    assert value(summed.outputs[0]) == 42
    assert copied.outputs == (DATA,)
    assert value(deep.outputs[0]) == 200
    assert 3000 <= deep.stack_bytes < 3200
    assert len(summed.measured_cycles) == 5
    assert value(once.outputs[0]) == 1, "what a call changes is not called again"
    assert len(once.measured_cycles) == 1
    assert not summed.counts


def test_the_device_says_who_it_is(machine, firmware):
    with open_device(machine.line.url, qemu_board(), timing=QUICK) as device:
        hello = device.hello
    assert (hello.board, hello.core, hello.port) == ("nucleo-f446re", "cortex-m4", "cmsdk")
    assert hello.simulated
    assert "QEMU" in device.name
    assert hello.build_id == firmware.build_id == read_firmware(firmware.elf).build_id
    assert hello.counter == "SysTick", "QEMU has no DWT cycle counter"
    assert 100_000 < hello.buffer_bytes < 131_072


def test_a_serial_device_file_works_like_a_socket(firmware):
    """QEMU's pseudo-terminal is opened as /dev/ttyACM0 would be, with termios."""
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not on PATH")
    command = ["qemu-system-arm", "-M", "mps2-an386", "-kernel", str(firmware.elf)]
    command += ["-display", "none", "-monitor", "none", "-serial", "pty"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as qemu:
        try:
            assert qemu.stdout is not None
            said = qemu.stdout.readline()  # char device redirected to /dev/pts/3 (label serial0)
            port = next(part for part in said.split() if part.startswith("/dev/"))
            copied, summed = run(firmware.elf, qemu_board(), port, [COPY, SUM], timing=QUICK)
        finally:
            qemu.kill()
    assert copied.outputs == (DATA,)
    assert value(summed.outputs[0]) == 42


def test_a_line_that_loses_adds_and_changes_bytes_changes_no_result(machine, firmware):
    rng, kinds = random.Random(1), []

    def disturbed(byte: int) -> bytes:
        if rng.random() > 1 / 1500:
            return bytes([byte])
        kinds.append(rng.choice(("lose", "change", "add", "zero")))
        return {
            "lose": b"",
            "change": bytes([byte ^ rng.randrange(1, 256)]),
            "add": rng.randbytes(rng.randrange(1, 40)) + bytes([byte]),
            "zero": b"\0",
        }[kinds[-1]]

    def mangle(data: bytes) -> bytes:
        return b"".join(map(disturbed, data))

    machine.line.to_device = machine.line.to_host = mangle
    timing = replace(QUICK, answer_s=0.2, tries=12)
    with open_device(machine.line.url, qemu_board(), timing=timing) as device:
        device.expect(firmware)
        copied, summed = device.run([COPY, SUM], repeats=2)
    assert copied.outputs == (DATA,)
    assert value(summed.outputs[0]) == 42
    assert len(set(kinds)) > 1, "the line was disturbed in several ways"


def test_a_lost_answer_does_not_run_the_call_again(machine, firmware):
    """The answer to the first CALL is dropped; the function counts its runs in its argument."""
    seen, lost = [], []
    requests, answers = Decoder(), Decoder()

    def to_device(data: bytes) -> bytes:
        seen.extend(frame for frame in requests.feed(data) if frame.kind == Request.CALL)
        return data

    def to_host(data: bytes) -> bytes:
        if not seen or lost:
            return data
        lost.extend(f for f in answers.feed(data) if (f.kind, f.status) == (Request.CALL, 0))
        return b""

    machine.line.to_device, machine.line.to_host = to_device, to_host
    counter = Call("add_one", (Buffer(4, bytes(4), read_back=True),))
    with open_device(machine.line.url, qemu_board(), timing=QUICK) as device:
        device.expect(firmware)
        (result,) = device.run([counter])
    assert len(seen) >= 2, "it was asked again"
    assert len({frame.sequence for frame in seen}) == 1
    assert value(result.outputs[0]) == 1


def test_a_reset_during_a_call_is_said_and_the_call_runs_again(machine, firmware):
    decoder, calls, notes = Decoder(), [], []

    def to_device(data: bytes) -> bytes:
        calls.extend(frame for frame in decoder.feed(data) if frame.kind == Request.CALL)
        return data

    def to_host(data: bytes) -> bytes:
        if len(calls) == 1:
            machine.reset()
            calls.append(calls[0])
        return data

    machine.line.to_device, machine.line.to_host = to_device, to_host
    with open_device(machine.line.url, qemu_board(), timing=QUICK, on_note=notes.append) as device:
        device.expect(firmware)
        (result,) = device.run([SPIN])
    assert value(result.outputs[0]) == 7 * 2_000_000 // 2
    assert len(notes) == 1
    assert "was reset during call 0 (spin)" in notes[0]


def test_a_device_that_never_answers_is_given_up_with_advice():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"socket://127.0.0.1:{silent.getsockname()[1]}"
        begin = time.monotonic()
        with (
            pytest.raises(ToolError, match=r"does not answer at 115200 baud.*check the cable"),
            open_device(url, qemu_board(), timing=Timing(answer_s=0.1, tries=2)),
        ):
            pass
        assert time.monotonic() - begin < 5
    with (
        pytest.raises(ToolError, match=r"cannot open the serial port.*dialout"),
        open_device("/dev/does-not-exist", qemu_board()),
    ):
        pass


def test_a_function_that_faults_or_never_returns_is_named_and_the_next_one_runs(machine, firmware):
    timing = replace(QUICK, call_s=0.6)
    notes: list[str] = []
    url, board = machine.line.url, qemu_board()
    with open_device(url, board, timing=timing, on_note=notes.append) as device:
        device.expect(firmware)
        for symbol, message in (
            ("faulty", r"call 0 \(faulty\).*pc 0x\w+ \(faulty\): a fault"),
            ("forever", r"forever.*did not return within 0.6 s"),
            ("trespass", "wrote memory that belongs to nothing"),
        ):
            with pytest.raises(CheckError, match=message):
                device.run([Call(symbol, (OUT,))])
            assert value(device.run([SUM])[0].outputs[0]) == 42
    assert not notes, "these resets were the device's own"


def test_foreign_and_stale_firmware_is_refused(machine, firmware, firmware_of, tmp_path):
    other = replace(qemu_board(), name="other-board")
    port = f"serial:{machine.line.url}"
    with (
        open_device(machine.line.url, other, timing=QUICK) as device,
        pytest.raises(ToolError, match=r"is a nucleo-f446re .* not a other-board"),
    ):
        device.expect(firmware)
    stale = replace(firmware, build_id=bytes(16))
    with (
        open_device(machine.line.url, qemu_board(), timing=QUICK) as device,
        pytest.raises(ToolError, match=r"another firmware \(build .*, expected 000000000000\)"),
    ):
        device.expect(stale)
    m55 = qemu_board("mps3-an547")
    with pytest.raises(InputError, match="nothing was written to it"):
        run_on(port, firmware_of(m55).elf, m55, [SUM])
    with pytest.raises(InputError, match="not a firmware"):
        run_on(port, empty_image(tmp_path), qemu_board(), [SUM])


def empty_image(folder):
    from tinytailor.targets import build_image, cross_toolchain

    (folder / "empty.c").write_text("void nothing(void);\nvoid nothing(void) {}\n")
    board = qemu_board()
    build_image([folder / "empty.c"], folder / "empty.elf", board, cross_toolchain())
    return folder / "empty.elf"


def test_calls_that_do_not_fit_the_image_or_the_memory_are_refused(machine, firmware):
    with open_device(machine.line.url, qemu_board(), timing=QUICK) as device:
        device.expect(firmware)
        with pytest.raises(InputError, match="cannot call sum with 1 pointers"):
            device.run([Call("sum", (OUT,))])
        with pytest.raises(InputError, match=r"needs 200,0\d\d bytes"):
            device.run([Call("add_one", (Buffer(200_000),))])


def test_writing_to_a_board_needs_a_way_that_is_there(firmware):
    board = qemu_board()
    with pytest.raises(InputError, match="pyocd_target or flash_command"):
        flash(board, firmware.elf)
    device = Device("cmsdk", 115_200, flash_command=("false", "{image}"))
    with pytest.raises(ToolError, match=r"failed \(false exit 1\)"):
        flash(replace(board, device=device), firmware.elf)
    device = replace(device, flash_command=("no-such-program", "{image}"))
    assert flash_command(replace(board, device=device), firmware.elf)[1] == str(firmware.elf)
    with pytest.raises(ToolError, match="no program 'no-such-program'"):
        flash(replace(board, device=device), firmware.elf)


def test_without_pyocd_the_missing_package_is_named(firmware, monkeypatch):
    from tinytailor.targets.serial import flashing

    board = replace(qemu_board(), device=Device("cmsdk", 115_200, pyocd_target="stm32f446re"))
    monkeypatch.setattr(flashing.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"pip install 'tinytailor\[boards\]'"):
        flash(board, firmware.elf)
    monkeypatch.setattr(flashing.importlib.util, "find_spec", lambda name: name)
    assert "stm32f446re" in flash_command(board, firmware.elf)
