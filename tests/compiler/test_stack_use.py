# SPDX-License-Identifier: Apache-2.0
"""Stack of emitted networks: the frames gcc reports, and never less than a run uses."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from combined import side_by_side

from tinytailor.compiler.mcu.program import lower_graph
from tinytailor.compiler.mcu.project import write_sources
from tinytailor.compiler.testing.examples import every_example
from tinytailor.targets import build_image, cross_flags, cross_toolchain, image_sizes, load_target
from tinytailor.targets.stack import StackUse

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

EXAMPLES = every_example()

BOARDS = ("nucleo-g0b1re", "nucleo-f446re", "nucleo-l552ze-q")


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no arm-none-eabi-gcc")
@pytest.mark.parametrize("board_name", BOARDS)
def test_every_frame_of_every_operator_is_the_one_gcc_reports(board_name, tmp_path):
    board, gcc = load_target(board_name), cross_toolchain("gcc")
    graph = side_by_side(
        "net", ((f"e{i}", e.graph(board.core.isa)) for i, e in enumerate(EXAMPLES))
    )
    write_sources(lower_graph(graph, board.core.isa, "net"), board, gcc, tmp_path, "")
    flags = [*cross_flags(board, gcc), "-fstack-usage", "-I", str(tmp_path)]
    command = [*gcc.command, *flags, "-c", str(tmp_path / "net.c"), "-o", str(tmp_path / "net.o")]
    subprocess.run(command, check=True)
    image = tmp_path / "net.elf"
    include = ("-I", str(tmp_path))
    build_image([tmp_path / "net.c"], image, board, gcc, extra_flags=include, keep=("net_invoke",))
    use, symbols = StackUse(image), image_sizes(image).symbols
    frames = {}
    for line in (tmp_path / "net.su").read_text().splitlines():
        place, size, kind = line.split("\t")
        assert kind == "static", line
        frames[place.split(":")[-1]] = int(size)
    linked = {name: size for name, size in frames.items() if name in symbols}
    assert len(linked) >= len(EXAMPLES)
    assert {name: use.frame(name) for name in linked} == linked
    assert use.of("net_invoke") >= frames["net_invoke"] + max(
        size for name, size in linked.items() if name != "net_invoke"
    )
