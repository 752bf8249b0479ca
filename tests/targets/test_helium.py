# SPDX-License-Identifier: Apache-2.0
"""Vectors, loops and selections of ARMv8.1-M as an assembler writes them are read back."""

from __future__ import annotations

import subprocess

import capstone
import pytest
from elftools.elf.elffile import ELFFile
from target_programs import toolchain_or_skip

from tinytailor.targets.instructions import Instruction, Pipe, Transfer, decode

pytestmark = [pytest.mark.emulator]

LOAD_STORE, INTEGER, MULTIPLY, CONTROL = Pipe.LOAD_STORE, Pipe.INTEGER, Pipe.MULTIPLY, Pipe.CONTROL
# text, pipe, registers read, registers written
VECTORS = [
    ("vldrb.u8 q1, [r2], #16", LOAD_STORE, "r2", "q1 r2"),
    ("vldrb.s16 q1, [r2]", LOAD_STORE, "r2", "q1"),
    ("vldrh.s32 q1, [r2, #2]!", LOAD_STORE, "r2", "q1 r2"),
    ("vldrw.u32 q1, [r10]", LOAD_STORE, "sl", "q1"),
    ("vstrb.8 q1, [r2]", LOAD_STORE, "q1 r2", ""),
    ("vstrb.32 q1, [r2], #4", LOAD_STORE, "q1 r2", "r2"),
    ("vldrb.u8 q1, [r2, q3]", LOAD_STORE, "q3 r2", "q1"),
    ("vldrw.u32 q1, [q3, #4]!", LOAD_STORE, "q3", "q1 q3"),
    ("vstrb.8 q1, [r2, q3]", LOAD_STORE, "q1 q3 r2", ""),
    ("vld20.8 {q1, q2}, [r2]", LOAD_STORE, "r2", "q1 q2"),
    ("vst43.8 {q0, q1, q2, q3}, [r2]!", LOAD_STORE, "q0 q1 q2 q3 r2", "r2"),
    ("vadd.i32 q1, q2, q3", INTEGER, "q2 q3", "q1"),
    ("vadd.i32 q0, q2, r3", INTEGER, "q2 r3", "q0"),
    ("vsub.i8 q0, q2, r3", INTEGER, "q2 r3", "q0"),
    ("vqadd.s8 q0, q2, r3", INTEGER, "q2 r3", "q0"),
    ("vmax.s8 q1, q2, q3", INTEGER, "q2 q3", "q1"),
    ("vmov.i32 q1, #3", INTEGER, "", "q1"),
    ("vmvn q1, q2", INTEGER, "q2", "q1"),
    ("vdup.32 q1, r2", INTEGER, "r2", "q1"),
    ("vidup.u8 q1, r2, #1", INTEGER, "r2", "q1 r2"),
    ("vshl.s32 q1, q2, q3", INTEGER, "q2 q3", "q1"),
    ("vshl.s32 q1, r2", INTEGER, "q1 r2", "q1"),
    ("vshr.s32 q1, q2, #3", INTEGER, "q2", "q1"),
    ("vmovlb.s8 q1, q2", INTEGER, "q2", "q1"),
    ("vqmovnb.s32 q1, q2", INTEGER, "q1 q2", "q1"),
    ("vqrshrnb.s32 q1, q2, #3", INTEGER, "q1 q2", "q1"),
    ("vpsel q1, q2, q3", INTEGER, "q2 q3", "q1"),
    ("vmaxv.s8 r2, q2", INTEGER, "q2 r2", "r2"),
    ("vabav.s8 r2, q2, q3", INTEGER, "q2 q3 r2", "r2"),
    ("vmul.i32 q1, q2, q3", MULTIPLY, "q2 q3", "q1"),
    ("vmul.i32 q1, q2, r3", MULTIPLY, "q2 r3", "q1"),
    ("vmla.s32 q1, q2, r3", MULTIPLY, "q1 q2 r3", "q1"),
    ("vrmulh.s32 q1, q2, q3", MULTIPLY, "q2 q3", "q1"),
    ("vmullt.s16 q1, q2, q3", MULTIPLY, "q2 q3", "q1"),
    ("vqrdmulh.s32 q1, q2, q3", MULTIPLY, "q2 q3", "q1"),
    ("vmladav.s8 r2, q1, q2", MULTIPLY, "q1 q2", "r2"),
    ("vmladava.s8 r12, q1, q2", MULTIPLY, "ip q1 q2", "ip"),
    ("vmlaldava.s16 r2, r3, q1, q2", MULTIPLY, "q1 q2 r2 r3", "r2 r3"),
    ("vaddv.s32 r2, q1", MULTIPLY, "q1", "r2"),
    ("vcmp.s32 gt, q1, r2", MULTIPLY, "q1 r2", ""),
    ("vcmp.i8 eq, q1, q2", MULTIPLY, "q1 q2", ""),
    ("vfma.f32 q1, q2, q3", MULTIPLY, "q1 q2 q3", "q1"),
    ("vadd.f32 q1, q2, q3", MULTIPLY, "q2 q3", "q1"),
    ("vcvt.f32.s32 q1, q2", MULTIPLY, "q2", "q1"),
    ("vmov.32 r2, q1[1]", MULTIPLY, "q1", "r2"),
    ("vmov.32 q1[1], r2", INTEGER, "q1 r2", "q1"),
    ("vmov r2, r3, q1[2], q1[0]", MULTIPLY, "q1", "r2 r3"),
    ("vmov q1[2], q1[0], r2, r3", INTEGER, "r2 r3", "q1"),
    ("vctp.8 r3", CONTROL, "r3", ""),
    ("vpnot", CONTROL, "", ""),
    ("vmsr p0, r2", CONTROL, "r2", ""),
]
# text, how it goes elsewhere, registers read, registers written
OTHERS = [
    ("dls lr, r2", None, "r2", "lr"),
    ("wls lr, r2, .+8", Transfer.IMMEDIATE, "r2", "lr"),
    ("le lr, .-8", Transfer.LOOP_END, "lr", "lr"),
    ("letp lr, .-8", Transfer.LOOP_END, "lr", "lr"),
    ("csel r0, r1, r2, eq", None, "r1 r2", "r0"),
    ("cset r0, eq", None, "", "r0"),
    ("lsll r0, r1, r2", None, "r0 r1 r2", "r0 r1"),
    ("orrs.w r0, r1, r2", None, "r1 r2", "r0"),
]


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Instruction]:
    """Every text of this file, assembled at once."""
    texts = [str(row[0]) for row in (*VECTORS, *OTHERS)]
    folder = tmp_path_factory.mktemp("vectors")
    compiler = toolchain_or_skip("gcc").command[0]
    source = folder / "all.s"
    lines = [f'.section .s{i}, "ax"\n{text}' for i, text in enumerate(texts)]
    source.write_text("\n".join([".syntax unified", ".thumb", *lines, ""]))
    flags = ["-mcpu=cortex-m55", "-mfloat-abi=hard"]
    subprocess.run([compiler, *flags, "-c", str(source), "-o", str(folder / "all.o")], check=True)
    with (folder / "all.o").open("rb") as file:
        sections = {section.name: section.data() for section in ELFFile(file).iter_sections()}
    return {text: decode(sections[f".s{i}"])[0] for i, text in enumerate(texts)}


def names(registers: frozenset[int]) -> str:
    engine = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB)
    return " ".join(sorted(engine.reg_name(register) for register in registers))


@pytest.mark.parametrize(("text", "pipe", "reads", "writes"), VECTORS)
def test_a_vector_instruction_is_known_by_pipe_and_registers(
    text: str, pipe: Pipe, reads: str, writes: str, decoded: dict[str, Instruction]
) -> None:
    one = decoded[text]
    assert (one.pipe, names(one.reads), names(one.writes)) == (pipe, reads, writes)


@pytest.mark.parametrize(("text", "transfer", "reads", "writes"), OTHERS)
def test_loops_shifts_and_selections_are_told_from_what_capstone_takes_them_for(
    text: str, transfer: Transfer | None, reads: str, writes: str, decoded: dict[str, Instruction]
) -> None:
    one = decoded[text]
    assert one.pipe is None
    found = (one.transfer, names(one.reads), names(one.writes).replace("cpsr", "").strip())
    assert found == (transfer, reads, writes)
