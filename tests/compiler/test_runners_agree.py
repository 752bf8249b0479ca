# SPDX-License-Identifier: Apache-2.0
"""Emulator and QEMU count the same: 20 programs, the same image on both, on each core of both.

Instructions, modelled core cycles, flash reads and their bytes, and the bytes of code that caches
of all sizes fetch again, are equal to the last one.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tinytailor.compiler.mcu import kernel_image
from tinytailor.compiler.testing.examples import every_example
from tinytailor.targets import cross_toolchain, emulator, linked_for, load_target, qemu

pytestmark = [pytest.mark.emulator, pytest.mark.qemu, pytest.mark.tvm]

EXAMPLES = every_example()

BOARDS = {
    "cortex-m0plus": "nucleo-g0b1re",
    "cortex-m3": "nucleo-f207zg",
    "cortex-m4": "nucleo-f446re",
    "cortex-m7": "nucleo-h743zi",
    "cortex-m33": "nucleo-l552ze-q",
}
# the first example of each operator: 20 programs, no two of the same kind
PROGRAMS = list({example.op.kind: example for example in reversed(EXAMPLES)}.values())[:20]


@pytest.mark.parametrize("core", BOARDS)
def test_both_runners_count_the_same_on_20_programs(core, tmp_path):
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not on PATH")
    assert len(PROGRAMS) == 20
    board = linked_for("qemu", load_target(BOARDS[core]))
    assert board.core.name == core
    graphs = [(f"k{i}", e.graph(board.core.isa)) for i, e in enumerate(PROGRAMS)]
    image = kernel_image(graphs, board, cross_toolchain(), tmp_path)
    calls = [image.call(i, np.random.default_rng(i)) for i in range(len(graphs))]
    emulated = emulator.run(image.elf, board, calls)
    for program, one, other in zip(
        PROGRAMS, emulated, qemu.run(image.elf, board, calls), strict=True
    ):
        assert one.counts[""].instructions > 20, program.name
        assert one.counts[""].core_cycles is not None
        assert one == other, program.name  # outputs, counts and stack
    assert any(one.counts[""].fetched for one in emulated)
