# SPDX-License-Identifier: Apache-2.0
"""Reading an ELF image: sizes, symbols, and the bytes that are loaded into flash.

flash_bytes       = code + constants + initial values of .data
ram_static_bytes  = .data + .bss                                  (no stack, no heap)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tinytailor.targets.errors import InputError

_WRITABLE, _ALLOCATED, _EXECUTABLE = 0x1, 0x2, 0x4


@dataclass(frozen=True, slots=True)
class ImageSizes:
    """Sizes in bytes; ``symbols`` maps a name to (address without the Thumb bit, size)."""

    flash_bytes: int
    ram_static_bytes: int
    symbols: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes that are programmed into flash at ``address``."""

    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image as the emulator needs it; ``ram_end`` is past the last static byte, 0 if none.

    ``functions`` are the addresses where one begins, in order.
    """

    sizes: ImageSizes
    ram_end: int
    segments: tuple[Segment, ...]
    functions: tuple[int, ...]


def image_sizes(elf: Path) -> ImageSizes:
    """Sizes and symbols of an ELF file; InputError if it is none."""
    return load_image(elf).sizes


def load_image(elf: Path) -> LoadedImage:
    """Sizes, symbols and flash contents of an ELF file; InputError if it is none."""
    try:
        with elf.open("rb") as file:
            image = ELFFile(file)
            segments = tuple(
                Segment(segment["p_paddr"], segment.data())
                for segment in image.iter_segments("PT_LOAD")
                if segment["p_filesz"]
            )
            start, end = _static_range(image)
            flash_bytes = sum(len(segment.data) for segment in segments)
            sizes = ImageSizes(flash_bytes, end - start, _symbols(image))
            return LoadedImage(sizes, end, segments, _functions(image))
    except OSError as error:
        raise InputError(f"{elf}: cannot be read: {error.strerror}.") from error
    except ELFError as error:
        raise InputError(f"{elf}: not an ELF image: {error}.") from error


def mapping_symbols(elf: Path) -> list[tuple[int, str]]:
    """(address, "$t" or "$d") in order: where code and where constants begin in the image."""
    with elf.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            return []
        marks = [(s["st_value"] & ~1, s.name[:2]) for s in table.iter_symbols()]
    return sorted(mark for mark in marks if mark[1] in ("$t", "$d"))


def _static_range(image: ELFFile) -> tuple[int, int]:
    """The addresses that static data spans in RAM, gaps included; (0, 0) if there is none.

    In RAM are the sections that can be written, whatever their names, and those that the start-up
    code copies there.
    """
    copied = [
        (segment["p_vaddr"], segment["p_vaddr"] + segment["p_memsz"])
        for segment in image.iter_segments("PT_LOAD")
        if segment["p_vaddr"] != segment["p_paddr"]
    ]
    ranges = []
    for section in image.iter_sections():
        start, flags = section["sh_addr"], section["sh_flags"]
        data = flags & _WRITABLE and not flags & _EXECUTABLE
        moved = any(low <= start < high for low, high in copied)
        if flags & _ALLOCATED and section["sh_size"] and (data or moved):
            ranges.append((start, start + section["sh_size"]))
    if not ranges:
        return 0, 0
    return min(start for start, _ in ranges), max(end for _, end in ranges)


def _functions(image: ELFFile) -> tuple[int, ...]:
    """Of local functions, too, which may share a name."""
    table = image.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        return ()
    symbols = (symbol.entry for symbol in table.iter_symbols())
    return tuple(
        sorted({s["st_value"] & ~1 for s in symbols if s["st_info"]["type"] == "STT_FUNC"})
    )


def _symbols(image: ELFFile) -> dict[str, tuple[int, int]]:
    table = image.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        return {}
    found = {}
    for symbol in table.iter_symbols():
        kind = symbol["st_info"]["type"]
        if kind in ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE") and symbol.name[:1] not in ("", "$"):
            thumb = 1 if kind == "STT_FUNC" else 0
            found[symbol.name] = (symbol["st_value"] & ~thumb, symbol["st_size"])
    return found
