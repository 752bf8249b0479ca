# SPDX-License-Identifier: Apache-2.0
"""Counts by block equal counts by single steps, on every core, for awkward control flow."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from target_programs import COUNTED_LOOP, PROGRAMS

from tinytailor.targets import FETCH_CACHES, Board, Buffer, Call, Counts, run
from tinytailor.targets.cycles import MODELS
from tinytailor.targets.cycles.pipeline import Pipeline, PipelineModel
from tinytailor.targets.cycles.table import TableModel, cost, taken
from tinytailor.targets.emulator.accounting import STAYED
from tinytailor.targets.image import load_image
from tinytailor.targets.instructions import Instruction, decode
from tinytailor.targets.latency_model import without_zeros

pytestmark = [pytest.mark.emulator]

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33")
UNICORN = {"cortex-m0plus": "CORTEX_M0"}
INPUT = struct.pack("<4i", 1000, 0, 0, 0)


def job_of(elf: Path, board: Board) -> dict[str, Any]:
    """What the single-stepping script needs to do the same as ``run``."""
    image = load_image(elf)
    buffer = -(-max(image.ram_end, board.ram.base) // 16) * 16
    core = board.core.name
    return {
        "elf": str(elf),
        "cpu": UNICORN.get(core, core.upper().replace("-", "_")),
        "entry": image.sizes.symbols["run"][0],
        "pointers": [buffer],
        "writes": [[buffer, INPUT.hex()]],
        "flash": [board.flash.base, board.flash.bytes],
        "ram": [board.ram.base, board.ram.bytes],
    }


def counts_of_trace(trace: dict[str, Any], board: Board, elf: Path) -> tuple[Counts, int]:
    """Counts of a trace of instructions, and how many of them were branched to."""
    model = MODELS[str(board.core.cycle_model)]
    assert isinstance(model, TableModel)
    cycles, jumps, before, end = 0, 0, None, 0
    for pc, code in trace["steps"]:
        (instruction,) = decode(bytes.fromhex(code))
        straight = before is not None and pc == end
        cycles += cost(model, instruction, before if straight else None)
        if before is not None and not straight:
            cycles += taken(model, before)
            jumps += 1
        before, end = instruction, pc + instruction.size
    assert before is not None
    cycles += taken(model, before)
    reads = trace["flash_reads"]
    again = fetched_again(trace["steps"], load_image(elf).functions)
    return Counts(len(trace["steps"]), cycles, len(reads), sum(reads), again), jumps


def fetched_again(steps: list[tuple[int, str]], functions: tuple[int, ...]) -> tuple[int, ...]:
    """For each size of a cache: 16 bytes each time that a line is not among the last ones.

    Lines of 16 bytes begin where functions do.
    """
    recent: list[int] = []  # the one fetched last is the first
    far: Counter[int] = Counter()
    for pc, code in steps:
        start = functions[bisect_right(functions, pc) - 1]
        places = (pc - start, pc - start + len(code) // 2 - 1)
        for line in sorted({start + place // 16 * 16 for place in places}):
            if line in recent:
                far[16 * (recent.index(line) + 1)] += 16
                recent.remove(line)
            recent.insert(0, line)
    sizes = [sum(n for away, n in far.items() if away > size) for size in FETCH_CACHES]
    return without_zeros(sizes)


@pytest.mark.parametrize("core", CORES)
def test_counts_equal_those_of_single_steps(
    core: str, board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    board = board_of(core)
    images = [build(text, board, "run") for text in PROGRAMS.values()]
    jobs = json.dumps([job_of(elf, board) for elf in images])
    script = [sys.executable, str(Path(__file__).with_name("single_step.py"))]
    done = subprocess.run([*script, jobs], capture_output=True, text=True, check=True)
    jumps = 0
    for name, elf, trace in zip(PROGRAMS, images, json.loads(done.stdout), strict=True):
        (result,) = run(elf, board, [Call("run", (Buffer(16, INPUT),))])
        expected, more = counts_of_trace(trace, board, elf)
        jumps += more
        assert result.counts[""] == expected, name
    assert jumps > 1000


def pipeline_cycles(trace: dict[str, Any], model: PipelineModel) -> int:
    """Cycles of a whole trace in one go, and of what its branches did."""
    pipeline, before, end, start = Pipeline(model), None, 0, 0
    outcomes: dict[int, tuple[Instruction, Counter[int]]] = {}
    for pc, code in [*trace["steps"], (-1, "00bf")]:
        (instruction,) = decode(bytes.fromhex(code))
        if before is not None and before.transfer is not None:
            to = STAYED if pc == end else pc
            outcomes.setdefault(start, (before, Counter()))[1][to] += 1
        if pc != end:
            pipeline.jump()
        if pc >= 0:
            pipeline.issue(instruction)
        before, start, end = instruction, pc, pc + instruction.size
    cycles = pipeline.end
    for branch, counts in outcomes.values():
        stayed = counts.pop(STAYED, 0)
        cycles += model.departures(branch, stayed, tuple(counts.values()))
    return cycles


def test_a_pipeline_forgets_little_between_runs(
    board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    """Runs are timed behind one other run; the whole trace is the truth they come near to."""
    board = board_of("cortex-m7")
    model = MODELS["m7"]
    assert isinstance(model, PipelineModel)
    names = ("branches", "memory", "selects")
    images = [build(PROGRAMS[name], board, "run") for name in names]
    jobs = json.dumps([job_of(elf, board) for elf in images])
    script = [sys.executable, str(Path(__file__).with_name("single_step.py"))]
    done = subprocess.run([*script, jobs], capture_output=True, text=True, check=True)
    for name, elf, trace in zip(names, images, json.loads(done.stdout), strict=True):
        (result,) = run(elf, board, [Call("run", (Buffer(16, INPUT),))])
        whole = pipeline_cycles(trace, model)
        assert result.counts[""].core_cycles == pytest.approx(whole, rel=0.002), name


@pytest.mark.parametrize("core", CORES)
def test_a_loop_of_known_length_is_counted_to_the_instruction(
    core: str, board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    board = board_of(core)
    elf = build(COUNTED_LOOP, board, "run")
    (result,) = run(elf, board, [Call("run", (Buffer(16, INPUT),))])
    assert result.counts[""].instructions == 1 + 3 * 1000 + 1
    # ldr 2 (m33: 1), adds 1, subs 1, bne 2 but 1 at the last, bx 3 (m0+: 2)
    loop = 1000 * 4 - 1
    assert (
        result.counts[""].core_cycles
        == loop
        + {
            "cortex-m0plus": 2 + 2,
            "cortex-m3": 2 + 3,
            "cortex-m4": 2 + 3,
            "cortex-m33": 1 + 3,
        }[core]
    )


def test_counting_again_gives_the_same_counts(
    board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    board = board_of("cortex-m4")
    elf = build(PROGRAMS["selects"], board, "run")
    call = Call("run", (Buffer(16, INPUT),))
    first, second = run(elf, board, [call, call])
    (third,) = run(elf, board, [call])
    assert first.counts == second.counts == third.counts


FLASH_READS = """
#include <stdint.h>
static const uint8_t table[9000] __attribute__((aligned(8))) = {1};
void words(int32_t *x);
void words(int32_t *x)
{
    const uint8_t *p = table + 1; /* unaligned, and across pages */
    for (int32_t i = 0; i < *x; ++i) {
        __asm volatile("ldr r2, [%0], #4" : "+r"(p) : : "r2", "memory");
    }
}
void four(int32_t *x);
void four(int32_t *x)
{
    (void)x;
    __asm volatile("ldm %0, {r2-r5}" : : "r"(table) : "r2", "r3", "r4", "r5");
}
void two(int32_t *x);
void two(int32_t *x) { (void)x; __asm volatile("ldrd r2, r3, [%0]" : : "r"(table) : "r2", "r3"); }
void stores(int32_t *x);
void stores(int32_t *x) { x[1] = x[0]; __asm volatile("" : : "r"(table)); }
"""


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m33"])
def test_flash_reads_are_counted_access_by_access(
    core: str, board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    board, names = board_of(core), ("words", "four", "two", "stores")
    elf = build(FLASH_READS, board, *names)
    results = run(elf, board, [Call(name, (Buffer(16, INPUT),)) for name in names])
    found = [(r.counts[""].flash_loads, r.counts[""].flash_bytes) for r in results]
    pool = 1  # the address of the table
    assert found == [(loads + pool, 4 * (loads + pool)) for loads in (1000, 4, 2, 0)]


CONDITIONAL_LOAD = """
#include <stdint.h>
/* A load that ends both an IT block and a translated block: x[1] counts 10 rounds, x[2] 10. */
__attribute__((naked)) void run(int32_t *x);
__attribute__((naked)) void run(int32_t *x)
{
    __asm volatile(".syntax unified\\n push {r4, lr}\\n"
                   "movs r1, #0\\n movs r2, #0\\n movs r3, #1\\n"
                   "1: cmp r3, #5\\n it ls\\n ldrls r4, [r0]\\n b 2f\\n"
                   "2: adds r1, r1, #1\\n adds r2, r2, #1\\n b 3f\\n"
                   "3: adds r3, r3, #1\\n cmp r3, #11\\n bne 1b\\n"
                   "str r1, [r0, #4]\\n str r2, [r0, #8]\\n pop {r4, pc}");
}
"""


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m33"])
def test_counting_does_not_change_what_conditional_loads_do(
    core: str, board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    board = board_of(core)
    elf = build(CONDITIONAL_LOAD, board, "run")
    call = Call("run", (Buffer(16, INPUT, read_back=True),))
    for count in (False, True):
        (result,) = run(elf, board, [call], count=count)
        assert struct.unpack("<4i", result.outputs[0])[1:3] == (10, 10)
