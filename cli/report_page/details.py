# SPDX-License-Identifier: Apache-2.0
"""The tables of the back end, as in report.md: every number, and where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinytailor.cli.report_page.devices import Device
from tinytailor.cli.report_page.drawing import draw

if TYPE_CHECKING:
    from markupsafe import Markup

    from tinytailor.compiler.sections import Section


def details(device: Device) -> list[Section]:
    from tinytailor.compiler.backend import backend_for

    backend = backend_for(device.profile["kind"])
    return backend.details(device.profile) or backend.sections(device.profile)


def draw_details(data: list[Section]) -> Markup:
    return draw("details.html", sections=data)
