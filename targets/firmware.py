# SPDX-License-Identifier: Apache-2.0
"""What turns C files into an image for a board: a linker script and the startup code.

flash   boot stage of some boards | vectors | code | constants | initial values of .data
ram     .data | .bss | free ... stack (grows down from the end)
"""

from __future__ import annotations

from pathlib import Path

from tinytailor.targets.board import Board

RUNTIME = Path(__file__).parent / "runtime"

_SCRIPT = """\
/* {name}: {core} */
ENTRY(Reset_Handler)

MEMORY
{{
  FLASH (rx)  : ORIGIN = {flash_base:#010x}, LENGTH = {flash_bytes}
  RAM   (rwx) : ORIGIN = {ram_base:#010x}, LENGTH = {ram_bytes}
}}

SECTIONS
{{
{boot}  .text :
  {{
    KEEP(*(.vectors))
    *(.text .text.*)
    *(.rodata .rodata.*)
    . = ALIGN(4);
  }} > FLASH

  .data :
  {{
    . = ALIGN(4);
    image_data_start = .;
    *(.data .data.*)
    . = ALIGN(4);
    image_data_end = .;
  }} > RAM AT > FLASH
  image_data_load = LOADADDR(.data);

  .bss (NOLOAD) :
  {{
    . = ALIGN(4);
    image_bss_start = .;
    *(.bss .bss.*)
    *(COMMON)
    . = ALIGN(4);
    image_bss_end = .;
  }} > RAM

  image_stack_top = ORIGIN(RAM) + LENGTH(RAM);

  /* C needs no unwind tables, and nobody debugs the compiler's run-time library */
  /DISCARD/ : {{ *(.ARM.exidx*) *(.ARM.extab*) *(.comment) *(.debug*) *(.note*) }}
}}
"""


_BOOT = """\
  .boot :
  {{
    KEEP(*(.boot))
  }} > FLASH
  ASSERT(SIZEOF(.boot) == {bytes}, "the program needs its boot stage: link boot.c as well")

"""


def linker_script(board: Board) -> str:
    """The GNU-style linker script of a board; ld and lld accept it."""
    return _SCRIPT.format(
        name=board.name,
        core=board.core.name,
        flash_base=board.flash.base,
        flash_bytes=board.flash.bytes,
        ram_base=board.ram.base,
        ram_bytes=board.ram.bytes,
        boot=_BOOT.format(bytes=board.boot_bytes) if board.boot else "",
    )


def startup_source() -> str:
    """The C startup code, the same for every board."""
    return (RUNTIME / "startup.c").read_text()
