# SPDX-License-Identifier: Apache-2.0
"""Boot stages: what the ROM of some chips expects before a program, and checks.

flash   boot stage (code, zeros to 252 bytes, CRC-32) | vectors | code | ...

A stage is an assembler file in ``runtime/boot``; a board file names it with its key ``boot``. It is
assembled when an image is built, and goes into images and projects as a C file of its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from elftools.elf.elffile import ELFFile

from tinytailor.targets.errors import ToolError

STAGE_BYTES = 256
CODE_BYTES = STAGE_BYTES - 4
# Where the flash of the chips begins that a stage is for.
STAGES: Mapping[str, int] = MappingProxyType({"rp2040": 0x10000000})
_FOLDER = Path(__file__).parent / "runtime" / "boot"
_POLYNOMIAL = 0x04C11DB7


def stage_file(stage: str) -> Path:
    return _FOLDER / f"{stage}.S"


def checksum(data: bytes) -> int:
    """The CRC-32 of the ROM: the highest bit first, begun with ones, its result as it is."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1) ^ (_POLYNOMIAL if value >> 31 else 0)
            value &= 0xFFFFFFFF
    return value


def with_checksum(code: bytes) -> bytes:
    """The 256 bytes of a stage."""
    if len(code) > CODE_BYTES:
        raise ToolError(f"a boot stage has {len(code)} bytes of code, at most {CODE_BYTES} fit.")
    padded = code.ljust(CODE_BYTES, b"\0")
    return padded + checksum(padded).to_bytes(4, "little")


def code_of(object_file: Path) -> bytes:
    """The machine code of an assembled stage."""
    with object_file.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".text")
        return b"" if section is None else bytes(section.data())


def boot_text(stage: str, code: bytes) -> str:
    """The C file of a stage: its source as a comment, and its words in the section ``.boot``."""
    data = with_checksum(code)
    words = [f"0x{int.from_bytes(data[i : i + 4], 'little'):08x}u" for i in range(0, len(data), 4)]
    used = -(-len(code) // 4)
    rows = [f"    {', '.join(words[i : min(i + 6, used)])}," for i in range(0, used, 6)]
    source = stage_file(stage).read_text("utf-8").replace("/*", "@").replace("*/", "")
    declared = f"static const uint32_t boot_stage[{len(words)}]"
    lines = (
        "/* SPDX-License-Identifier: Apache-2.0",
        " *",
        f" * {STAGE_BYTES} bytes at the start of the flash, without which the {stage} starts no",
        " * program. The last word is the CRC-32 of the others, which were assembled from:",
        " *",
        *(f" *     {line}".rstrip() for line in source.splitlines()),
        " */",
        "#include <stdint.h>",
        "",
        f'__attribute__((section(".boot"), used)) {declared} = {{',
        *rows,
        f"    [{len(words) - 1}] = {words[-1]},",
        "};",
        "",
    )
    return "\n".join(lines)
