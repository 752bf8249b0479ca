# SPDX-License-Identifier: Apache-2.0
"""Microcontroller boards: a core, a clock, two memories and a latency model, read from TOML.

The time of an operator is modelled (``latency_model``). A core without a cycle model has no latency
model either: instructions are counted, time is unknown.

A board file may also say where each number is from ([sources]), what power the board draws in which
supply configuration ([energy], ``targets.energy``), and how the real board is reached ([device]):
which port of the firmware harness runs on it, and how an image gets onto it.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tinytailor.targets.boot import STAGE_BYTES, STAGES
from tinytailor.targets.core import CORES, Core
from tinytailor.targets.energy import EnergyModel, read_energy
from tinytailor.targets.errors import InputError
from tinytailor.targets.latency_model import LatencyModel, read_latency
from tinytailor.targets.names import no_such
from tinytailor.targets.target import Target
from tinytailor.targets.toml_table import TomlTable, read_toml

PAGE_BYTES = 4096  # the emulator maps memory in pages
PORTS = Path(__file__).parent / "runtime" / "board" / "ports"
IMAGE = "{image}"  # stands for the path of the image in a flash command
UNKNOWN_SOURCE = "unknown source"


@dataclass(frozen=True, slots=True)
class MemoryRegion:
    """A contiguous range of addresses."""

    base: int
    bytes: int

    @property
    def end(self) -> int:
        return self.base + self.bytes

    def contains(self, address: int) -> bool:
        return self.base <= address < self.end

    @property
    def size(self) -> str:
        """In words."""
        return f"{self.bytes / 1024:g} KiB"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers of a board file are from; the latency model names its own."""

    clock: str = UNKNOWN_SOURCE
    flash: str = UNKNOWN_SOURCE
    ram: str = UNKNOWN_SOURCE
    device: str = UNKNOWN_SOURCE


@dataclass(frozen=True, slots=True)
class Device:
    """How the real board is reached.

    ``port`` names the board-specific part of the firmware in ``targets/runtime/board/ports``, or
    is a user's own file that ends in .c; ``baud`` is its serial speed. An image is written with
    pyocd, which knows the chip as ``pyocd_target``, or by ``flash_command``, whose ``{image}``
    becomes the path of the image.
    """

    port: str
    baud: int
    pyocd_target: str | None = None
    flash_command: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """A microcontroller board."""

    name: str
    core: Core
    clock_hz: int
    flash: MemoryRegion
    ram: MemoryRegion
    latency_model: LatencyModel | None
    sources: Sources = Sources()
    device: Device | None = None
    energy: tuple[EnergyModel, ...] = ()  # by supply configuration, the default one first
    definition: str = field(default="", repr=False, compare=False)  # the text of its file
    boot: str | None = None  # what stands before a program in its flash: a name of targets.boot
    kind: Literal["mcu"] = "mcu"

    @property
    def latency(self) -> LatencyModel:
        """The latency model, or InputError where the core has no cycle model."""
        if self.latency_model is None:
            raise InputError(
                f"{self.name}: there is no cycle model of its core, {self.core.name}, so times "
                "cannot be told; instructions can be counted (tinytailor profile)."
            )
        return self.latency_model

    def power(self, supply: str | None = None) -> EnergyModel:
        """The power in a supply configuration, the default one without a name, or InputError."""
        if not self.energy:
            raise InputError(
                f"{self.name}: no power of this board is published, so its energy cannot be told; "
                "add an [energy] table to a board file of your own."
            )
        found = {model.name: model for model in self.energy}
        if supply is not None and supply not in found:
            raise no_such(f"{self.name}: there is no supply {supply!r}", supply, tuple(found))
        return self.energy[0] if supply is None else found[supply]

    @property
    def boot_bytes(self) -> int:
        """Of flash before the vectors of a program."""
        return STAGE_BYTES if self.boot else 0

    @property
    def chip(self) -> str:
        return self.core.name

    @property
    def capacity(self) -> tuple[str, str]:
        return self.flash.size, self.ram.size

    @property
    def trust(self) -> str:
        return "no cycle model" if self.latency_model is None else self.latency.trust

    def record(self) -> dict[str, Any]:
        values = {"kind": self.kind, **asdict(self)}
        model = values.pop("latency_model")
        return {**values, "latency": model, "latency_trust": self.trust}

    def facts(self) -> tuple[tuple[str, str, str], ...]:
        flash, ram = (f"{part.size} at {part.base:#010x}" for part in (self.flash, self.ram))
        model = self.latency_model
        rows = [
            ("clock", f"{self.clock_hz / 1e6:g} MHz", self.sources.clock),
            ("flash", flash, self.sources.flash),
            ("RAM", ram, self.sources.ram),
            *self._boot_facts(),
            *((("latency", self.trust, ""),) if model is None else model.facts()),
        ]
        for power in self.energy:
            rows += power.facts()
        if self.device is not None:
            device = f"{self.device.port}, {self.device.baud} baud"
            rows.append(("serial", device, self.sources.device))
        return tuple(rows)

    def _boot_facts(self) -> list[tuple[str, str, str]]:
        if self.boot is None:
            return []
        where = f"tinytailor's own, runtime/boot/{self.boot}.S; never run on a board"
        return [("boot stage", f"{self.boot}, {self.boot_bytes} bytes of the flash", where)]


def require_board(target: Target, purpose: str) -> Board:
    """``target`` if it is a microcontroller board, else InputError: ``purpose`` needs one."""
    if isinstance(target, Board):
        return target
    raise InputError(
        f"{target.name} is a target of kind {target.kind}; {purpose} needs a microcontroller "
        "board, kind mcu in the list of `tinytailor targets`"
    )


def port_source(board: Board) -> Path:
    """The C file of the board's firmware port; InputError where there is none."""
    if board.device is None:
        raise InputError(
            f"{board.name}: its file has no [device] table, so there is no firmware for the real "
            "board; add one with the keys port and baud."
        )
    path = PORTS / f"{board.device.port}.c"
    if board.device.port.endswith(".c"):
        path = Path(board.device.port)
        if not path.is_file():
            raise InputError(f"{board.name}: its firmware port {path} is not there.")
    elif not path.is_file():
        known = sorted(file.stem for file in PORTS.glob("*.c"))
        problem = f"{board.name}: no firmware port is called {board.device.port!r}"
        raise no_such(problem, board.device.port, known, end="or the path of a .c file")
    return path


def load_board(path: Path) -> Board:
    """Read and validate a board file; InputError names the key that is wrong."""
    table = TomlTable(path, read_toml(path))
    name = table.text("name")
    core = CORES[table.choice("core", tuple(CORES))]
    clock_hz = table.integer("clock_hz", minimum=1)
    memory = table.table("memory")
    flash = _region(memory.table("flash"))
    ram = _region(memory.table("ram"))
    memory.finish()
    if flash.base < ram.end and ram.base < flash.end:
        raise InputError(f'{path}: "memory.flash" and "memory.ram" overlap.')
    boot = _boot(table, flash) if "boot" in table.values else None
    table.read.append("boot")
    latency = None
    if core.cycle_model is not None:
        latency = read_latency(table.table("latency"))
    elif "latency" in table.values:
        raise InputError(
            f'{path}: key "latency" is given, but there is no cycle model of {core.name} that its '
            "constants could scale; leave it out."
        )
    sources = _sources(table.table("sources", default={}))
    device = _device(table.table("device")) if "device" in table.values else None
    energy = read_energy(table.table("energy")) if "energy" in table.values else ()
    table.read += ["device", "energy"]
    table.finish()
    text = path.read_text("utf-8")
    return Board(name, core, clock_hz, flash, ram, latency, sources, device, energy, text, boot)


def _region(table: TomlTable) -> MemoryRegion:
    base = table.integer("base", minimum=0)
    size = table.integer("bytes", minimum=PAGE_BYTES)
    table.finish()
    if base % PAGE_BYTES or size % PAGE_BYTES or base + size > 1 << 32:
        raise InputError(
            f'{table.path}: "{table.prefix}base" = {base:#x} and "{table.prefix}bytes" = {size} '
            f"must be multiples of {PAGE_BYTES} and end below 4 GiB."
        )
    return MemoryRegion(base, size)


def _boot(table: TomlTable, flash: MemoryRegion) -> str:
    """The name of the boot stage, which must be for a chip with this flash."""
    stage = table.choice("boot", tuple(STAGES))
    if flash.base != STAGES[stage]:
        raise InputError(
            f'{table.path}: key "boot" is {stage!r}, a boot stage for a flash at '
            f'{STAGES[stage]:#010x}; "memory.flash.base" is {flash.base:#010x}.'
        )
    return stage


def _sources(table: TomlTable) -> Sources:
    names = ("clock", "flash", "ram", "device")
    sources = Sources(**{name: table.text(name, default=UNKNOWN_SOURCE) for name in names})
    table.finish()
    return sources


def _device(table: TomlTable) -> Device:
    device = Device(
        port=table.text("port"),
        baud=table.integer("baud", minimum=1),
        pyocd_target=table.text("pyocd_target") if "pyocd_target" in table.values else None,
        flash_command=table.texts("flash_command") if "flash_command" in table.values else None,
    )
    table.read += ["pyocd_target", "flash_command"]
    table.finish()
    if not re.fullmatch("[a-z0-9_]+", device.port) and not device.port.endswith(".c"):
        raise InputError(
            f'{table.path}: key "device.port" is {device.port!r}; expected the name of a port, of '
            "small letters, digits and _, or the path of a .c file of your own."
        )
    if device.flash_command is not None and not any(IMAGE in a for a in device.flash_command):
        raise InputError(
            f'{table.path}: key "device.flash_command" has no {IMAGE}; write it where the path of '
            "the image belongs."
        )
    return device
