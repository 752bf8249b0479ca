# SPDX-License-Identifier: Apache-2.0
"""What a device is, and how to build and run a program on it. Knows nothing of networks.

A target is a TOML file: ``boards/<name>.toml`` (microcontrollers) or ``fpgas/<name>.toml``. A
user's own file, given by its path, works the same: a key that only files of its kind have says what
it is. A new kind of target is a file here, a folder and a line.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tinytailor.targets.board import (
    Board,
    Device,
    MemoryRegion,
    load_board,
    port_source,
    require_board,
)
from tinytailor.targets.core import CORES, Core, Isa
from tinytailor.targets.emulator import Buffer, Call, CallResult, Counts, run
from tinytailor.targets.energy import (
    Battery,
    DutyCycle,
    EnergyModel,
    Usage,
    duty_cycle,
    require_idle,
)
from tinytailor.targets.errors import InputError
from tinytailor.targets.fpga import Fpga, load_fpga
from tinytailor.targets.image import ImageSizes, image_sizes
from tinytailor.targets.latency_model import FETCH_CACHES, LatencyModel
from tinytailor.targets.names import no_such
from tinytailor.targets.runners import (
    ANY_PORT,
    RUNNERS,
    board_on,
    build_for,
    called,
    default_runner,
    linked_for,
    run_on,
    serial_port,
)
from tinytailor.targets.target import Target
from tinytailor.targets.toml_table import read_toml
from tinytailor.targets.toolchain import (
    Toolchain,
    build_image,
    cross_flags,
    cross_toolchain,
    host_toolchain,
)

__all__ = [
    "ANY_PORT",
    "CORES",
    "FETCH_CACHES",
    "RUNNERS",
    "Battery",
    "Board",
    "Buffer",
    "Call",
    "CallResult",
    "Core",
    "Counts",
    "Device",
    "DutyCycle",
    "EnergyModel",
    "Fpga",
    "ImageSizes",
    "Isa",
    "LatencyModel",
    "MemoryRegion",
    "Target",
    "Toolchain",
    "Usage",
    "board_on",
    "build_for",
    "build_image",
    "called",
    "cross_flags",
    "cross_toolchain",
    "default_runner",
    "duty_cycle",
    "host_toolchain",
    "image_sizes",
    "linked_for",
    "load_target",
    "port_source",
    "require_board",
    "require_idle",
    "run",
    "run_on",
    "serial_port",
    "target_names",
]

_HERE = Path(__file__).parent
_FOLDERS = (_HERE / "boards", _HERE / "fpgas")
# By the key that only files of this kind have.
_READERS: dict[str, Callable[[Path], Target]] = {"part": load_fpga, "core": load_board}


def target_names() -> tuple[str, ...]:
    """The names of the targets that ship with the tool, sorted."""
    return tuple(sorted(path.stem for folder in _FOLDERS for path in folder.glob("*.toml")))


def load_target(name_or_path: str) -> Target:
    """The target of a shipped name ("nucleo-f446re") or of a file ("./mine.toml")."""
    if name_or_path.lower().endswith(".toml"):
        return _load(Path(name_or_path))
    for folder in _FOLDERS:
        for path in folder.glob("*.toml"):
            if path.stem == name_or_path:
                return _load(path)
    raise no_such(
        f"no target is called {name_or_path!r}",
        name_or_path,
        target_names(),
        listed_by="`tinytailor targets`",
        end="or the path of a .toml file",
    )


def _load(path: Path) -> Target:
    keys = read_toml(path)
    for key, reader in _READERS.items():
        if key in keys:
            return reader(path)
    raise InputError(
        f'{path}: neither the key "core" (a microcontroller board) nor "part" (an FPGA) is there.'
    )
