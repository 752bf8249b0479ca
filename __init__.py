# SPDX-License-Identifier: Apache-2.0
"""Cuts neural networks to the measure of small devices.

    import tinytailor as tt

    project = tt.compile("model.onnx", "nucleo-f446re", calibration=samples)
    project.run(x)                          the emitted C on this machine
    project.verify(on="emulator")           bit for bit
    project.profile().layers                what each layer costs
    tt.load("build/model")                  what was compiled before
    tt.search(data="npz:recordings.npz", target="nucleo-f446re", latency="10ms", out="run")

docs/python.md shows each. What is wrong with what was given ends in one of the errors below.
Importing this package loads nothing else; its names load what they need when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinytailor.api.compiling import compile, profile
    from tinytailor.api.projects import Port, Project, load
    from tinytailor.api.records import Layer, Profile, Verification
    from tinytailor.api.searching import Found, FoundTarget, search
    from tinytailor.nas.progress import Progress
    from tinytailor.targets import load_target
    from tinytailor.targets.errors import (
        BudgetError,
        CheckError,
        Doubt,
        InputError,
        TinytailorError,
        ToolError,
    )

    __version__: str
else:
    _PLACES = {
        "tinytailor.api.compiling": ("compile", "profile"),
        "tinytailor.api.projects": ("Port", "Project", "load"),
        "tinytailor.api.records": ("Layer", "Profile", "Verification"),
        "tinytailor.api.searching": ("Found", "FoundTarget", "search"),
        "tinytailor.nas.progress": ("Progress",),
        "tinytailor.targets": ("load_target",),
        "tinytailor.targets.errors": (
            "BudgetError",
            "CheckError",
            "Doubt",
            "InputError",
            "TinytailorError",
            "ToolError",
        ),
    }

    def __getattr__(name: str) -> Any:
        for module, names in _PLACES.items():
            if name in names:
                return getattr(import_module(module), name)
        if name == "__version__":
            return import_module("importlib.metadata").version("tinytailor")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted([*globals(), *__all__])


__all__ = [
    "BudgetError",
    "CheckError",
    "Doubt",
    "Found",
    "FoundTarget",
    "InputError",
    "Layer",
    "Port",
    "Profile",
    "Progress",
    "Project",
    "TinytailorError",
    "ToolError",
    "Verification",
    "compile",
    "load",
    "load_target",
    "profile",
    "search",
]
