# SPDX-License-Identifier: Apache-2.0
"""The firmware of a real board: the harness, its port, and the functions it runs on request.

    harness.c protocol.c cycles.c ports/<port>.c | image.c (generated) | the functions' own files

The build id is a digest of all texts, the compiler and its options, so that firmware on a board is
known to be this one. It lies in the image, as do the functions, in the order they are called by.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinytailor.targets.board import Board, port_source
from tinytailor.targets.boot import stage_file
from tinytailor.targets.errors import InputError, ToolError
from tinytailor.targets.firmware import RUNTIME, linker_script
from tinytailor.targets.image import LoadedImage, load_image
from tinytailor.targets.serial.protocol import BUILD_ID_BYTES
from tinytailor.targets.stack import worst_stack
from tinytailor.targets.toolchain import Toolchain, build_image, cross_flags

HARNESS = RUNTIME / "board"
_STACK_BYTES = 2048
_HARNESS_STACK_BYTES = 768  # main, the request, the SysTick exception, and a guard
_NAMES = "tt_names"


@dataclass(frozen=True, slots=True)
class Firmware:
    """An image of the harness. ``functions``: (symbol, number of pointers) by index."""

    elf: Path
    build_id: bytes
    functions: tuple[tuple[str, int], ...]
    loaded: LoadedImage

    def index(self, symbol: str, pointers: int) -> int:
        """The number that calls ``symbol``."""
        if (symbol, pointers) not in self.functions:
            known = ", ".join(f"{name} with {count} pointers" for name, count in self.functions)
            raise InputError(
                f"{self.elf}: it cannot call {symbol} with {pointers} pointers; it has {known}."
            )
        return self.functions.index((symbol, pointers))

    def function_at(self, address: int) -> str:
        """The name of the symbol around an address, or nothing."""
        for name, (start, size) in self.loaded.sizes.symbols.items():
            if start <= address < start + size:
                return name
        return ""


def build_firmware(
    sources: Sequence[Path],
    functions: Mapping[str, int],
    elf: Path,
    board: Board,
    toolchain: Toolchain,
    *,
    extra_flags: Sequence[str] = (),
) -> Firmware:
    """Build ``elf`` from ``sources``; ``functions``: symbol -> how many pointers it takes.

    The functions get pointers and return nothing. RAM that is left is the device's buffer for
    their arguments; its stack is as deep as their machine code can need.
    """
    if board.device is None:
        port_source(board)  # says what is missing
    harness = [*(HARNESS / f"{n}.c" for n in ("harness", "protocol", "cycles")), port_source(board)]
    flags = ("-I", str(HARNESS), *extra_flags)
    identity = _identity([*harness, *sources], functions, board, toolchain, extra_flags)
    with tempfile.TemporaryDirectory(prefix="tinytailor-firmware-") as folder:
        image = Path(folder) / "image.c"
        stack = _STACK_BYTES
        while True:
            image.write_text(_image_text(functions, board, identity, stack))
            files = [*harness, image, *sources]
            build_image(files, elf, board, toolchain, extra_flags=flags, keep=(_NAMES,))
            needed = max((worst_stack(elf, s) for s in functions), default=0) + _HARNESS_STACK_BYTES
            if needed <= stack:
                return read_firmware(elf)
            stack = -(-needed // 64) * 64


def read_firmware(elf: Path) -> Firmware:
    """What an image says of itself; InputError if it is no firmware of the harness."""
    loaded = load_image(elf)
    names = _content(loaded, _NAMES)
    build_id = _content(loaded, "tt_image")[:BUILD_ID_BYTES]
    if not names or len(build_id) != BUILD_ID_BYTES:
        raise InputError(
            f"{elf}: it is not a firmware for a board on a serial port; build it with the harness."
        )
    rows = [entry.split("/") for entry in names.rstrip(b"\0").decode().split()]
    functions = tuple((name, int(count)) for name, count in rows)
    return Firmware(elf, build_id, functions, loaded)


def _content(loaded: LoadedImage, symbol: str) -> bytes:
    """The bytes of a constant in flash, none where there is no such symbol."""
    address, size = loaded.sizes.symbols.get(symbol, (0, 0))
    for segment in loaded.segments:
        if segment.address <= address < segment.address + len(segment.data):
            start = address - segment.address
            return segment.data[start : start + size]
    return b""


def _identity(
    files: Sequence[Path],
    functions: Mapping[str, int],
    board: Board,
    toolchain: Toolchain,
    extra_flags: Sequence[str],
) -> bytes:
    """The same texts, compiler and options give the same, wherever they lie."""
    assert board.device is not None
    headers = sorted(HARNESS.glob("*.h"))
    stage = [stage_file(board.boot)] if board.boot else []
    facts = [
        linker_script(board),
        board.clock_hz,
        board.device.baud,
        toolchain.version,
        cross_flags(board, toolchain),
        [flag for flag in extra_flags if not Path(flag).is_absolute()],
        list(functions.items()),
    ]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for path in (*files, *headers, *stage):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()[:BUILD_ID_BYTES]


def _image_text(
    functions: Mapping[str, int], board: Board, identity: bytes, stack_bytes: int
) -> str:
    """The generated file: who the image is, and a caller for each function."""
    assert board.device is not None
    callers, rows = [], []
    for number, (symbol, count) in enumerate(functions.items()):
        parameters = ", ".join(["void *"] * count) or "void"
        arguments = ", ".join(f"p[{i}]" for i in range(count))
        callers.append(
            f"void {symbol}({parameters});\n"
            f"static void call_{number}(uint8_t *const *p)\n"
            f"{{\n    (void)p;\n    {symbol}({arguments});\n}}\n"
        )
        rows.append(f"    {{call_{number}, {count}u}},")
    if not rows:
        raise ToolError("a firmware without functions was asked for.")
    names = " ".join(f"{symbol}/{count}" for symbol, count in functions.items())
    fields = [
        "{" + ", ".join(f"{byte}u" for byte in identity) + "}",
        json.dumps(board.name),
        json.dumps(board.core.name),
        f"{board.clock_hz}u",
        f"{board.device.baud}u",
        f"{stack_bytes}u",
        f"{len(rows)}u",
    ]
    return "\n".join(
        [
            '#include "harness.h"\n',
            *callers,
            "const struct tt_function tt_functions[] = {",
            *rows,
            "};\n",
            f"extern const char {_NAMES}[];",
            f'__attribute__((used)) const char {_NAMES}[] = "{names}";',
            f"const struct tt_image tt_image = {{{', '.join(fields)}}};\n",
        ]
    )
