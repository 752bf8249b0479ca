# SPDX-License-Identifier: Apache-2.0
"""Cycles of short sequences, added up by hand from the manuals' tables."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from target_programs import toolchain_or_skip

from tinytailor.targets.core import CORES
from tinytailor.targets.cycles import MODELS, CycleModel, cycle_model
from tinytailor.targets.cycles.table import cost, taken
from tinytailor.targets.errors import InputError, ToolError
from tinytailor.targets.instructions import Instruction, Transfer, decode, instruction_sizes

pytestmark = [pytest.mark.emulator]

# text, cycles on m4, m33, m3 of the straight sequence; None where the core lacks an instruction
SEQUENCES = [
    ("adds r0, r1, r2", 1, 1, 1),
    ("ldr r0, [r1]", 2, 1, 2),
    ("ldr r0, [r1]; ldr r2, [r3]", 3, 2, 3),
    ("ldr r0, [r1]; ldr r2, [r0]", 4, 3, 4),  # the address depends on the first load
    ("ldr r0, [r1]; ldr r2, [r3, r0]", 4, 3, 4),
    ("ldr r0, [r1], #4; ldr r2, [r1], #4", 4, 2, 4),  # so it does on the written-back base
    ("ldr r0, [r1]; adds r2, r0, r3", 3, 3, 3),
    ("ldr r0, [r1]; adds r2, r4, r3", 3, 2, 3),
    ("ldr r0, [r1]; str r0, [r2]", 3, 3, 3),
    ("str r0, [r1]; ldrsb r2, [r3]", 2, 2, 2),
    ("ldrb r0, [r1]; ldrh r2, [r3]; ldrsh r4, [r5]", 4, 3, 4),
    ("ldrd r0, r1, [r2]", 3, 2, 3),
    ("ldrd r0, r1, [r2]; ldr r3, [r4]", 5, 3, 5),  # a double load starts no pair
    ("strd r0, r1, [r2]", 3, 2, 3),
    ("ldmia r0!, {r1, r2, r3}", 4, 4, 4),
    ("ldm r0, {r1, r2}", 3, 3, 3),
    ("stmdb r0!, {r1, r2, r3, r4}", 5, 5, 5),
    ("push {r4, r5, lr}", 4, 4, 4),
    ("pop {r4, r5}", 3, 3, 3),
    ("ldr.w r0, [sp], #4", 2, 1, 2),  # pop of one register
    ("mul r0, r1, r2", 1, 1, 1),
    ("mla r0, r1, r2, r3", 1, 1, 2),
    ("umull r0, r1, r2, r3", 1, 1, 4),
    ("smlal r0, r1, r2, r3", 1, 1, 5),
    ("sdiv r0, r1, r2", 7, 6, 7),
    ("cmp r0, #0; it lt; movlt r0, #0", 3, 3, 3),
    ("smlad r0, r1, r2, r0; smmulr r3, r0, r1; ssat r4, #8, r3", 3, 3, None),
    ("sxtb16 r0, r1, ror #8; pkhbt r2, r0, r1, lsl #16", 2, 2, None),
    ("vldr s0, [r0]", 2, 1, None),
    ("vldr d0, [r0]", 3, 3, None),
    ("vstmia r0!, {s0-s3}", 5, 5, None),
    ("vpush {d8-d9}", 5, 5, None),
    ("vmul.f32 s0, s1, s2; vadd.f32 s0, s0, s1", 2, 2, None),
    ("vmla.f32 s0, s1, s2", 3, 3, None),
    ("vdiv.f32 s0, s1, s2", 14, 14, None),
]
M0PLUS = [
    ("adds r0, r1, r2; muls r0, r1", 2),
    ("ldr r0, [r1]; ldr r2, [r3]; strb r0, [r1]", 6),
    ("push {r4, r5, lr}; pop {r4, r5}", 4 + 3),
    ("ldm r0!, {r1, r2, r3}; stm r0!, {r1}", 4 + 2),
    ("mrs r0, primask", 3),
]
TRANSFERS = [
    ("b.n .+8", Transfer.IMMEDIATE, {"m0plus": 1, "m3": 1, "m4": 1, "m33": 1}),
    ("bne.w .+8", Transfer.IMMEDIATE, {"m4": 1}),
    ("cbz r0, .+8", Transfer.IMMEDIATE, {"m4": 1}),
    ("bl .+8", Transfer.CALL, {"m0plus": 2, "m4": 1}),
    ("bx lr", Transfer.REGISTER, {"m0plus": 1, "m4": 2}),
    ("blx r3", Transfer.REGISTER, {"m0plus": 1, "m4": 2}),
    ("mov pc, r3", Transfer.REGISTER, {"m0plus": 1, "m4": 2}),
    ("pop {r4, pc}", Transfer.POP, {"m0plus": 2, "m4": 2}),
    ("ldmia.w sp!, {r4, r5, pc}", Transfer.POP, {"m4": 2}),
    ("ldr.w pc, [r0, r1]", Transfer.LOAD, {"m4": 2}),
    ("tbb [pc, r0]", Transfer.TABLE, {"m4": 3}),
    ("adds r0, r1, r2", None, {"m0plus": 0, "m4": 0}),
]


@pytest.fixture(scope="module")
def assemble(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Instruction, ...]]:
    """All texts of this file, assembled at once, each into a section of its own."""
    texts = [str(row[0]) for row in (*SEQUENCES, *M0PLUS, *TRANSFERS)]
    folder = tmp_path_factory.mktemp("assembly")
    compiler = toolchain_or_skip("gcc").command[0]
    lines = [".syntax unified", ".cpu cortex-m4", ".fpu fpv4-sp-d16", ".thumb"]
    for i, text in enumerate(texts):
        lines += [f'.section .s{i}, "ax"', text.replace("; ", "\n")]
    source = folder / "all.s"
    source.write_text("\n".join(lines) + "\n")
    subprocess.run([compiler, "-c", str(source), "-o", str(folder / "all.o")], check=True)
    return dict(zip(texts, _sections(folder / "all.o", len(texts)), strict=True))


def _sections(path: Path, count: int) -> list[tuple[Instruction, ...]]:
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as file:
        found = {section.name: section.data() for section in ELFFile(file).iter_sections()}
    return [decode(found[f".s{i}"]) for i in range(count)]


def cycles(model: str, code: tuple[Instruction, ...]) -> int:
    before = (None, *code[:-1])
    return sum(cost(MODELS[model], one, last) for one, last in zip(code, before, strict=True))


@pytest.mark.parametrize(("text", "m4", "m33", "m3"), SEQUENCES)
def test_sequences_cost_what_the_table_says(
    text: str,
    m4: int,
    m33: int,
    m3: int | None,
    assemble: dict[str, tuple[Instruction, ...]],
) -> None:
    code = assemble[text]
    assert len(code) == text.count(";") + 1
    assert (cycles("m4", code), cycles("m33", code)) == (m4, m33)
    if m3 is not None:
        assert cycles("m3", code) == m3


@pytest.mark.parametrize(("text", "expected"), M0PLUS)
def test_sequences_of_the_small_core(
    text: str, expected: int, assemble: dict[str, tuple[Instruction, ...]]
) -> None:
    assert cycles("m0plus", assemble[text]) == expected


@pytest.mark.parametrize(("text", "transfer", "expected"), TRANSFERS)
def test_a_taken_branch_refills_the_pipeline(
    text: str,
    transfer: Transfer | None,
    expected: dict[str, int],
    assemble: dict[str, tuple[Instruction, ...]],
) -> None:
    (instruction,) = assemble[text]
    assert instruction.transfer is transfer
    assert {name: taken(MODELS[name], instruction) for name in expected} == expected


def test_an_unallocated_hint_is_a_nop_and_other_unknowns_are_errors() -> None:
    (hint,) = decode(bytes.fromhex("aff34080"))
    assert cost(MODELS["m4"], hint, None) == 1
    with pytest.raises(ToolError, match="ffffffff cannot be decoded"):
        decode(bytes.fromhex("ffffffff"))
    with pytest.raises(ToolError, match="ends within an instruction"):
        instruction_sizes(bytes.fromhex("aff3"))


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_the_parts_of_a_sequence_add_up_to_it_in_every_model(
    model: CycleModel, assemble: dict[str, tuple[Instruction, ...]]
) -> None:
    codes = list(assemble.values())
    for before, code in pairwise(codes):
        whole = model.straight(before, code, jumped=True)
        assert 0 <= whole <= 20 * len(code)
        for cut in range(1, len(code)):
            head, tail = code[:cut], code[cut:]
            first = model.straight(before, head, jumped=True)
            # within one cycle, as the second time nothing says that ``head`` was branched to
            rest = model.straight((*before, *head), tail, jumped=False)
            assert first + rest == pytest.approx(whole, abs=1)


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_branches_cost_by_their_outcomes_in_every_model(
    model: CycleModel, assemble: dict[str, tuple[Instruction, ...]]
) -> None:
    for text, transfer, _ in TRANSFERS:
        (branch,) = assemble[text]
        assert model.departures(branch, 7, ()) == 0
        if transfer is not None:
            mixed = model.departures(branch, 7, (5, 3))
            assert 0 < mixed <= 15 * 10
            assert model.departures(branch, 14, (10, 6)) == 2 * mixed


def test_every_core_has_a_cycle_model_and_every_model_a_core() -> None:
    assert {core.cycle_model for core in CORES.values()} == set(MODELS)


def test_an_unknown_model_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"no cycle model is called 'm5'; .*known: m0plus, "):
        cycle_model("m5")
