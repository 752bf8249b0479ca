# SPDX-License-Identifier: Apache-2.0
"""tinytailor profile: what a compiled project costs, layer by layer emulated, whole on a board."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinytailor.cli import completion
from tinytailor.cli.energy import BatteryText, Idle, Period, Supply, parse_usage, used
from tinytailor.cli.options import InputName, InputsFile, Json, ProjectFolder
from tinytailor.cli.output import Result, command
from tinytailor.cli.report import draw, sections
from tinytailor.targets import Usage, require_board

if TYPE_CHECKING:
    from tinytailor.cli.inputs import Inputs
    from tinytailor.compiler.project import Project
    from tinytailor.targets import Target


@command
def run(
    project: ProjectFolder,
    on: Annotated[
        str | None,
        typer.Option(
            help="Where to run: emulator, qemu, or serial:PORT, a board such as "
            "serial:/dev/ttyACM0. [default: emulator, or qemu for a core that only it has]",
            autocompletion=completion.runners,
        ),
    ] = None,
    inputs: InputsFile = None,
    input_name: InputName = None,
    supply: Supply = None,
    period: Period = None,
    battery: BatteryText = None,
    idle: Idle = None,
    as_json: Json = False,
) -> Result:
    """Run a compiled project on the emulated board, or in QEMU: cycles, time and memory per layer.

    On serial:PORT the whole network is measured on the real board as well.
    """
    from tinytailor.cli.inputs import load_inputs
    from tinytailor.compiler.project import load_project

    loaded = load_project(project)
    usage, given = parse_usage(loaded.target, supply, period, battery, idle), None
    if inputs is not None:
        given = load_inputs(inputs, loaded.manifest, name=input_name)
    values = profile_project(loaded, on, given, usage)
    return Result(values, lambda console: draw(console, sections(values)))


def profile_project(
    project: Project[Target], on: str | None, given: Inputs | None, usage: Usage
) -> dict[str, Any]:
    """What compiler.profile found, with the energy of that usage."""
    from tinytailor.compiler import profile

    values = profile(project.folder, on, None if given is None else given.batches)
    if usage == Usage():
        return values
    return used(values, require_board(project.target, "an energy"), usage)
