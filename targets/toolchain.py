# SPDX-License-Identifier: Apache-2.0
"""Compilers: finding them, their options, and building an image for a board.

    cross   arm-none-eabi-gcc on PATH, else ``zig cc`` from the Python package ziglang
    host    gcc, cc or clang on PATH, else ``zig cc``

The environment variable TINYTAILOR_CC=gcc|zig chooses the cross compiler. gcc is never given
-ffreestanding or -fno-builtin: kernels load words through memcpy, which would become calls.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tinytailor.targets.board import Board
from tinytailor.targets.boot import boot_text, code_of, stage_file
from tinytailor.targets.errors import ToolError
from tinytailor.targets.files import write_atomically
from tinytailor.targets.firmware import RUNTIME, linker_script, startup_source
from tinytailor.targets.names import no_such

CROSS_GCC = "arm-none-eabi-gcc"
_COMMON = ("-std=c99", "-O2", "-ffunction-sections", "-fdata-sections", "-fno-common")
# With gcse the code of a function depends on what stands before it in the file, and a layer shall
# cost in a network what it costs alone.
_GCC = ("-fno-gcse",)
# zig instruments undefined behaviour and keeps frame pointers and unwind tables unless told not to
_ZIG = (
    "-fno-sanitize=undefined",
    "-fomit-frame-pointer",
    "-fno-unwind-tables",
    "-fno-stack-protector",
)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A C compiler: ``command`` starts it, ``version`` is the first line it says of itself."""

    name: str
    command: tuple[str, ...]
    version: str


def cross_toolchain(prefer: str | None = None) -> Toolchain:
    """The compiler for boards. ``prefer`` ("gcc" or "zig") wins over TINYTAILOR_CC."""
    wanted = prefer or os.environ.get("TINYTAILOR_CC") or None
    if wanted not in (None, "gcc", "zig", CROSS_GCC):
        problem = f"no cross compiler is called {wanted!r} (TINYTAILOR_CC)"
        raise no_such(problem, wanted, ("gcc", "zig"))
    if wanted != "zig":
        gcc = shutil.which(CROSS_GCC)
        if gcc is not None:
            return _toolchain(CROSS_GCC, (gcc,))
        if wanted is not None:
            raise ToolError(f"{CROSS_GCC} is not on PATH; install it, or set TINYTAILOR_CC=zig.")
    zig = _zig()
    if zig is not None:
        return zig
    raise ToolError(
        f"no cross compiler: neither {CROSS_GCC} is on PATH nor the Python package ziglang is "
        "installed; run `pip install ziglang`."
    )


def host_toolchain() -> Toolchain:
    """A C compiler for this machine; it also builds shared libraries."""
    for name in ("gcc", "cc", "clang"):
        path = shutil.which(name)
        if path is not None:
            return _toolchain(name, (path,))
    zig = _zig()
    if zig is not None:
        return zig
    raise ToolError(
        "no C compiler for this machine: neither gcc, cc nor clang is on PATH nor the Python "
        "package ziglang is installed; run `pip install ziglang`."
    )


def cross_flags(board: Board, toolchain: Toolchain) -> tuple[str, ...]:
    """The options that every C file of an image is compiled with."""
    if toolchain.name == "zig":
        return (*board.core.zig_flags, *_COMMON, *_ZIG)
    return (*board.core.gcc_flags, *_COMMON, *_GCC)


def build_image(
    sources: Sequence[Path],
    out: Path,
    board: Board,
    toolchain: Toolchain,
    *,
    extra_flags: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> None:
    """Compile and link ``sources`` with the startup code into the ELF file ``out``.

    Functions that nothing calls are dropped; ``keep`` names those that must stay all the same.
    ToolError holds the first errors of the compiler. ``out`` is replaced only on success.
    """
    out = out.resolve()
    with tempfile.TemporaryDirectory(prefix=".build-", dir=out.parent) as name:
        folder = Path(name)
        script, startup, boot = (folder / n for n in ("image.ld", "startup.c", "boot.c"))
        script.write_text(linker_script(board))
        startup.write_text(startup_source())
        boot.write_text(boot_source(board, toolchain))
        command = [
            *toolchain.command,
            *cross_flags(board, toolchain),
            *(("-isystem", str(RUNTIME)) if toolchain.name == "zig" else ()),
            *extra_flags,
            str(startup),
            *([str(boot)] if board.boot else []),
            *(str(path.resolve()) for path in sources),
            "-nostartfiles",
            f"-Wl,--gc-sections,--entry=Reset_Handler,-T,{script}",
            *(f"-Wl,-u,{symbol}" for symbol in keep),
            "-o",
        ]

        def build(image: Path) -> None:
            compile_or_raise(
                [*command, str(image)], f"building {out.name} for {board.name}", folder
            )

        write_atomically(out, build)


@lru_cache
def boot_source(board: Board, toolchain: Toolchain) -> str:
    """The C file with the boot stage of ``board``, "" where it needs none."""
    if board.boot is None:
        return ""
    with tempfile.TemporaryDirectory(prefix="tinytailor-boot-") as name:
        made = Path(name) / "boot.o"
        flags = board.core.zig_flags if toolchain.name == "zig" else board.core.gcc_flags
        command = [*toolchain.command, *flags, "-c", str(stage_file(board.boot)), "-o", str(made)]
        compile_or_raise(command, f"assembling the boot stage of {board.name}", Path(name))
        return boot_text(board.boot, code_of(made))


def compile_or_raise(command: Sequence[str], what: str, folder: Path) -> None:
    """Run a compiler in ``folder``; ToolError with its first errors where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        signs = ("error: ", "undefined reference", "will not fit", "overflowed")
        errors = [line for line in lines if any(sign in line for sign in signs)]
        errors = [line for line in errors if not line.startswith("collect2:")]
        shown = "\n".join((errors or lines)[:8])
        raise ToolError(f"{what} failed ({Path(command[0]).name} exit {done.returncode}):\n{shown}")


def _zig() -> Toolchain | None:
    if importlib.util.find_spec("ziglang") is None:
        return None
    return _toolchain("zig", (sys.executable, "-m", "ziglang", "cc"))


@lru_cache
def _toolchain(name: str, command: tuple[str, ...]) -> Toolchain:
    version = _first_line((*command, "--version"))
    if name == "zig":
        version = f"zig {_first_line((*command[:-1], 'version'))} ({version})"
    return Toolchain(name, command, version)


def _first_line(command: tuple[str, ...]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 or not done.stdout.strip():
        raise ToolError(f"{' '.join(command)} failed: {done.stderr.strip()[:200]}")
    return done.stdout.splitlines()[0].strip()
