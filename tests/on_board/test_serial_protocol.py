# SPDX-License-Identifier: Apache-2.0
"""The frames, in Python and in the C of the firmware, which is built for this machine here."""

from __future__ import annotations

import ctypes
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytailor.targets import host_toolchain
from tinytailor.targets.errors import ToolError
from tinytailor.targets.serial.firmware import HARNESS
from tinytailor.targets.serial.protocol import (
    CHUNK_BYTES,
    Decoder,
    Frame,
    decode,
    encode,
    parse_hello,
    stuff,
    unstuff,
)

pytestmark = [pytest.mark.emulator, pytest.mark.qemu]

LINE = """
#include "port.h"
#include "protocol.h"
static const uint8_t *in;
static uint32_t in_count, out_count;
static uint8_t *out;
int tt_port_getc(void) { return in_count ? (--in_count, *in++) : -1; }
int tt_port_putc(uint8_t byte) { out[out_count++] = byte; return 0; }
/* Answers every frame with its own data; the bytes of the answers. */
uint32_t echo(const uint8_t *from, uint32_t count, uint8_t *to);
uint32_t echo(const uint8_t *from, uint32_t count, uint8_t *to)
{
    struct tt_frame f;
    in = from; in_count = count; out = to; out_count = 0;
    while (tt_receive(&f)) {
        for (uint32_t i = 0; i < f.length; ++i) { tt_reply_data()[i] = f.data[i]; }
        tt_send(f.type | TT_REPLY, f.status, f.sequence, f.session, f.length);
    }
    return out_count;
}
"""


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    """``echo(bytes)``: what the C of the firmware answers."""
    folder = tmp_path_factory.mktemp("line")
    (folder / "line.c").write_text(LINE)
    library = folder / "line.so"
    command = [*host_toolchain().command, "-std=c99", "-shared", "-fPIC", "-O1", "-Wall", "-Werror"]
    command += ["-I", str(HARNESS), str(HARNESS / "protocol.c"), str(folder / "line.c")]
    subprocess.run([*command, "-o", str(library)], check=True, timeout=60)
    call = ctypes.CDLL(str(library)).echo

    def answer(data: bytes) -> bytes:
        to = ctypes.create_string_buffer(4 * len(data) + 4096)
        count = call(data, len(data), to)
        return to.raw[:count]

    return answer


few_zeros = st.binary(max_size=700)
many_zeros = st.lists(st.sampled_from([0, 0, 1, 255]), max_size=700).map(bytes)
long_runs = st.builds(lambda n, tail: b"\x07" * n + tail, st.integers(250, 770), few_zeros)
contents = st.one_of(few_zeros, many_zeros, long_runs)
frames = st.builds(
    Frame,
    st.integers(1, 6),
    st.integers(0, 8),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    contents.map(lambda data: data[:CHUNK_BYTES]),
)
quickly = settings(max_examples=150, deadline=None, derandomize=True, database=None)


@quickly
@given(contents)
def test_stuffed_bytes_hold_no_zero_and_come_back(data):
    packed = stuff(data)
    assert 0 not in packed
    assert len(packed) <= len(data) + len(data) // 254 + 1
    assert unstuff(packed) == data


@quickly
@given(st.lists(st.tuples(st.binary(max_size=1500), frames), max_size=4), st.integers(1, 90))
def test_garbage_between_frames_loses_no_intact_frame(parts, step):
    stream = b"".join(garbage + encode(frame) for garbage, frame in parts)
    decoder = Decoder()
    pieces = (stream[at : at + step] for at in range(0, len(stream), step))
    found = [frame for piece in pieces for frame in decoder.feed(piece)]
    assert found == [frame for _, frame in parts]


@quickly
@given(frames, st.data())
def test_no_damaged_frame_is_accepted(frame, data):
    packet = encode(frame)[1:-1]
    at = data.draw(st.integers(0, len(packet) - 1))
    kind = data.draw(st.sampled_from(["change", "lose", "cut", "add"]))
    other = data.draw(st.integers(1, 255).filter(lambda byte: byte != packet[at]))
    damaged = {
        "change": packet[:at] + bytes([other]) + packet[at + 1 :],
        "lose": packet[:at] + packet[at + 1 :],
        "cut": packet[:at],
        "add": packet[:at] + bytes([other]) + packet[at:],
    }[kind]
    if damaged != packet:
        assert decode(damaged) is None


@quickly
@given(st.lists(st.tuples(st.binary(max_size=1500), frames), min_size=1, max_size=3))
def test_the_firmware_finds_the_same_frames_and_packs_the_same_bytes(echo, parts):
    stream = b"".join(garbage + encode(frame) for garbage, frame in parts)
    answers = b"".join(
        encode(Frame(f.kind, f.status, f.sequence, f.session, f.data, is_reply=True))
        for _, f in parts
    )
    assert echo(stream) == answers


@quickly
@given(frames, st.data())
def test_the_firmware_accepts_no_damaged_frame(echo, frame, data):
    packet = bytearray(encode(frame))
    at = data.draw(st.integers(1, len(packet) - 2))
    packet[at] ^= data.draw(st.integers(1, 255))
    assert echo(bytes(packet)) == b""


def test_the_c_and_the_python_agree_on_version_and_sizes():
    from tinytailor.targets.serial import protocol

    text = (HARNESS / "protocol.h").read_text() + (HARNESS / "harness.h").read_text()
    for name, value in (
        ("TT_PROTOCOL_VERSION", protocol.VERSION),
        ("TT_CHUNK_BYTES", protocol.CHUNK_BYTES),
        ("TT_BUILD_ID_BYTES", protocol.BUILD_ID_BYTES),
    ):
        assert f"#define {name} {value}u" in text
    numbers = {**protocol.Request.__members__, **protocol.Status.__members__}
    assert all(f"TT_{name} = {number}" in text for name, number in numbers.items())
    failures = (HARNESS / "port.h").read_text()
    assert all(f" = {number}" in failures for number in protocol.PORT_FAILURES)


@pytest.mark.parametrize("data", [b"", bytes([9]) + bytes(60), bytes([1]) + bytes(10)])
def test_another_firmware_is_told_from_this_ones(data):
    with pytest.raises(ToolError, match="write the firmware"):
        parse_hello(data)
