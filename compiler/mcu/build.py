# SPDX-License-Identifier: Apache-2.0
"""Building a project as it lies in its folder: a program for its sizes, a bare one to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinytailor.compiler.mcu.interface import entry
from tinytailor.targets import Board, ImageSizes, Toolchain, build_image, image_sizes, linked_for


@dataclass(frozen=True, slots=True)
class Image:
    """A linked project: what to run and where, and the sizes of the program with its main."""

    elf: Path
    runner: str
    sizes: ImageSizes


def build(
    project: Path,
    name: str,
    board: Board,
    toolchain: Toolchain,
    folder: Path,
    runner: str,
    further: Sequence[str] = (),
) -> Image:
    """Compile and link the project as it lies in ``project`` into ``folder``, to run on ``runner``.

    The image that is run leaves out main.c, whose input and output would take the RAM that the
    runner needs for its own; the sizes are those of the whole program. ``further``: functions of
    the network that are called besides the one that runs it.
    """
    _, sizes = build_program(project, name, board, toolchain, folder)
    bare = folder / f"{name}-run.elf"
    linked, keep = linked_for(runner, board), (entry(name), *further)
    flags = _include(project)
    build_image([project / f"{name}.c"], bare, linked, toolchain, extra_flags=flags, keep=keep)
    return Image(bare, runner, sizes)


def build_program(
    project: Path, name: str, board: Board, toolchain: Toolchain, folder: Path
) -> tuple[Path, ImageSizes]:
    """The whole program, main.c included, as a user's `make` builds it, and its sizes."""
    program = folder / f"{name}.elf"
    sources = [project / "main.c", project / f"{name}.c"]
    build_image(sources, program, board, toolchain, extra_flags=_include(project))
    return program, image_sizes(program)


def _include(project: Path) -> tuple[str, str]:
    return "-I", str(project.resolve())
