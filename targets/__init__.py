# SPDX-License-Identifier: Apache-2.0
"""What a device is, and how to build and run a program on it. Knows nothing of networks.

A target is a TOML file: ``boards/<name>.toml`` (microcontrollers) or ``fpgas/<name>.toml``. A
user's own file, given by its path, works the same: it is a board if it has the key ``core`` and an
FPGA if it has the key ``part``.
"""

from __future__ import annotations

from pathlib import Path

from tinytailor.targets.board import (
    Board,
    Device,
    LatencyModel,
    MemoryRegion,
    load_board,
    port_source,
)
from tinytailor.targets.core import CORES, Core, Isa
from tinytailor.targets.emulator import Buffer, Call, CallResult, Counts, run
from tinytailor.targets.errors import InputError
from tinytailor.targets.fpga import Fpga, load_fpga
from tinytailor.targets.image import ImageSizes, image_sizes
from tinytailor.targets.runners import (
    RUNNERS,
    build_for,
    default_runner,
    linked_for,
    run_on,
    serial_port,
)
from tinytailor.targets.toml_table import read_toml
from tinytailor.targets.toolchain import (
    Toolchain,
    build_image,
    cross_flags,
    cross_toolchain,
    host_toolchain,
)

__all__ = [
    "CORES",
    "RUNNERS",
    "Board",
    "Buffer",
    "Call",
    "CallResult",
    "Core",
    "Counts",
    "Device",
    "Fpga",
    "ImageSizes",
    "Isa",
    "LatencyModel",
    "MemoryRegion",
    "Toolchain",
    "build_for",
    "build_image",
    "cross_flags",
    "cross_toolchain",
    "default_runner",
    "host_toolchain",
    "image_sizes",
    "linked_for",
    "load_target",
    "port_source",
    "run",
    "run_on",
    "serial_port",
    "target_names",
]

_HERE = Path(__file__).parent
_FOLDERS = (_HERE / "boards", _HERE / "fpgas")


def target_names() -> tuple[str, ...]:
    """The names of the targets that ship with the tool, sorted."""
    return tuple(sorted(path.stem for folder in _FOLDERS for path in folder.glob("*.toml")))


def load_target(name_or_path: str) -> Board | Fpga:
    """The target of a shipped name ("nucleo-f446re") or of a file ("./mine.toml")."""
    if name_or_path.endswith(".toml"):
        return _load(Path(name_or_path))
    for folder in _FOLDERS:
        for path in folder.glob("*.toml"):
            if path.stem == name_or_path:
                return _load(path)
    raise InputError(
        f"unknown target {name_or_path!r}; known are {', '.join(target_names())}, "
        "or give the path of a .toml file."
    )


def _load(path: Path) -> Board | Fpga:
    keys = read_toml(path)
    if "part" in keys:
        return load_fpga(path)
    if "core" in keys:
        return load_board(path)
    raise InputError(
        f'{path}: neither the key "core" (a microcontroller board) nor "part" (an FPGA) is there.'
    )
