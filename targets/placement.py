# SPDX-License-Identifier: Apache-2.0
"""Where the buffers and the stack of a call lie in RAM: the same for every runner.

ram    .data | .bss | gap | buffer | gap | buffer ... | gap | free ... stack

After a call the gaps, what no object of .data and .bss covers, and constant buffers must be as they
were before it: what changed there was written past the end of something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinytailor.targets.board import Board
from tinytailor.targets.emulator.records import Call
from tinytailor.targets.errors import CheckError, InputError
from tinytailor.targets.image import ImageSizes, LoadedImage

POISON, PAINT = 0xA5, 0xC3  # free RAM, free stack
ALIGNMENT = 16
MIN_STACK_BYTES = 1024
GAP_BYTES = 16
GUARD_BYTES = 256  # at the end of the stack; a frame larger than this may jump over it unnoticed


@dataclass(frozen=True, slots=True)
class Place:
    """Addresses of one call; the buffer pointers beyond the fourth lie at ``stack``.

    ``gaps``: (address, size) of the memory around the buffers, filled before each call.
    """

    entry: int
    buffers: tuple[int, ...]
    gaps: tuple[tuple[int, int], ...]
    stack_low: int
    stack: int


def check_flash(image: Path, loaded: LoadedImage, board: Board) -> None:
    """InputError where the image was linked for other memories."""
    for segment in loaded.segments:
        end = segment.address + len(segment.data)
        if not (board.flash.contains(segment.address) and end <= board.flash.end):
            raise InputError(
                f"{image}: {segment.address:#x}..{end:#x} lies outside the flash of {board.name}; "
                "was it built for another board?"
            )


def place(image: Path, loaded: LoadedImage, board: Board, call: Call) -> Place:
    """Addresses of the buffers and of the stack of one call."""
    addresses, gaps, at = [], [], max(loaded.ram_end, board.ram.base)
    for buffer in call.buffers:
        start = -(-(at + GAP_BYTES) // ALIGNMENT) * ALIGNMENT
        gaps.append((at, start - at))
        addresses.append(start)
        at = start + buffer.size
    gaps.append((at, GAP_BYTES))
    at += GAP_BYTES
    on_stack = 4 * max(0, len(call.buffers) - 4)
    stack = (board.ram.end - on_stack) // 8 * 8
    least = MIN_STACK_BYTES + GUARD_BYTES
    if at + least > stack:
        raise InputError(
            f"{call.symbol} of {image.name}: {at - board.ram.base} bytes of static data and "
            f"buffers leave less than {least} of the {board.ram.bytes} bytes of RAM of "
            f"{board.name} for the stack."
        )
    entry = function_address(image, loaded.sizes, call.symbol)
    return Place(entry, tuple(addresses), tuple(gaps), -(-at // 8) * 8, stack)


def static_gaps(loaded: LoadedImage, board: Board) -> list[tuple[int, int]]:
    """(address, size) of what lies between the objects of .data and .bss."""
    objects = sorted(
        (address, address + size)
        for address, size in loaded.sizes.symbols.values()
        if size and board.ram.contains(address)
    )
    gaps, at = [], board.ram.base
    for start, end in (*objects, (loaded.ram_end, loaded.ram_end)):
        if start > at:
            gaps.append((at, start - at))
        at = max(at, end)
    return gaps


def trespass(sizes: ImageSizes, start: int, before: bytes, after: bytes) -> str:
    """What to say of the first byte that differs in memory nobody may write."""
    at = start + next(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
    behind = [
        (at - address - size, name)
        for name, (address, size) in sizes.symbols.items()
        if size and address + size <= at
    ]
    distance, name = min(behind, default=(0, ""))
    near = name and distance < GUARD_BYTES
    place = f", {distance} bytes behind the end of {name}," if near else ""
    return f"it wrote the byte at {at:#010x}{place} which belongs to nothing that it may write"


def function_address(image: Path, sizes: ImageSizes, symbol: str) -> int:
    if symbol not in sizes.symbols:
        raise InputError(
            f"{image}: there is no function {symbol!r}; functions that nothing calls are dropped "
            "unless build_image(keep=...) names them."
        )
    return sizes.symbols[symbol][0]


def fault(
    image: Path,
    sizes: ImageSizes,
    calls: Sequence[Call],
    call: int | None,
    pc: int,
    message: str,
    where: str,
) -> CheckError:
    """What to raise when call number ``call`` (None: the start-up code) failed on ``where``."""
    who = "the start-up code" if call is None else f"call {call} ({calls[call].symbol})"
    return CheckError(
        f"{who} of {image.name} failed on {where} at pc {pc:#010x}{_name(sizes, pc)}: {message}."
    )


def _name(sizes: ImageSizes, pc: int) -> str:
    """ " (symbol+0x12)" of the function around an address, or nothing."""
    for name, (address, size) in sizes.symbols.items():
        if address <= pc < address + size:
            return f" ({name}+{pc - address:#x})"
    return ""
