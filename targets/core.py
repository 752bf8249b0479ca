# SPDX-License-Identifier: Apache-2.0
"""The processor cores: instruction set, compiler options, and how each one is emulated and timed.

    core          isa   FPU          emulated as        cycle model
    cortex-m0plus base  -            Cortex-M0          m0plus
    cortex-m3     base  -            Cortex-M3          m3
    cortex-m4     dsp   single       Cortex-M4          m4
    cortex-m7     dsp   single       Cortex-M7          m7
    cortex-m33    dsp   single       Cortex-M33         m33
    cortex-m55    mve   half, single QEMU only          m55

M0 and M0+ execute the same instruction set (ARMv6-M), so the emulated M0 stands for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Isa(StrEnum):
    """What a kernel may use beyond plain C."""

    BASE = "base"
    DSP = "dsp"
    MVE = "mve"


@dataclass(frozen=True, slots=True)
class Core:
    """One processor core. ``cycle_model`` names a table of ``targets.cycles``, or is None.

    ``emulated_as`` is the emulator's name of the core, None where only QEMU has it.
    """

    name: str
    isa: Isa
    has_fpu: bool
    gcc_flags: tuple[str, ...]
    zig_flags: tuple[str, ...]
    emulated_as: str | None
    cycle_model: str | None
    aligned_only: bool = False


# zig's own feature sets of cortex_m4, m7, m33 and m55 leave the FPU out (m33's the DSP, m55's the
# vector unit), so that a float multiplication would become a library call behind the hard-float
# calling convention.
_CORES = (
    Core(
        name="cortex-m0plus",
        isa=Isa.BASE,
        has_fpu=False,
        gcc_flags=("-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft"),
        zig_flags=("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m0plus"),
        emulated_as="cortex-m0",
        cycle_model="m0plus",
        aligned_only=True,
    ),
    Core(
        name="cortex-m3",
        isa=Isa.BASE,
        has_fpu=False,
        gcc_flags=("-mcpu=cortex-m3", "-mthumb", "-mfloat-abi=soft"),
        zig_flags=("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m3"),
        emulated_as="cortex-m3",
        cycle_model="m3",
    ),
    Core(
        name="cortex-m4",
        isa=Isa.DSP,
        has_fpu=True,
        gcc_flags=("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
        zig_flags=("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4+vfp4d16sp"),
        emulated_as="cortex-m4",
        cycle_model="m4",
    ),
    Core(
        name="cortex-m7",
        isa=Isa.DSP,
        has_fpu=True,
        gcc_flags=("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
        zig_flags=("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m7+fp_armv8d16sp"),
        emulated_as="cortex-m7",
        cycle_model="m7",
    ),
    Core(
        name="cortex-m33",
        isa=Isa.DSP,
        has_fpu=True,
        gcc_flags=("-mcpu=cortex-m33", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
        zig_flags=("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m33+dsp+fp_armv8d16sp"),
        emulated_as="cortex-m33",
        cycle_model="m33",
    ),
    Core(
        name="cortex-m55",
        isa=Isa.MVE,
        has_fpu=True,
        gcc_flags=("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"),
        zig_flags=(
            *("-target", "thumb-freestanding-eabihf"),
            "-mcpu=cortex_m55+dsp+mve_fp+fp_armv8d16+fullfp16+lob",
        ),
        emulated_as=None,
        cycle_model="m55",
    ),
)

CORES: Mapping[str, Core] = MappingProxyType({core.name: core for core in _CORES})
