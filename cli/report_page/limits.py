# SPDX-License-Identifier: Apache-2.0
"""What the numbers of a report do not say, in sentences; only those that are true of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tinytailor.cli.report_page.answer import trust
from tinytailor.cli.report_page.devices import SEARCH, Device, devices
from tinytailor.cli.report_page.drawing import draw, grouped, listed
from tinytailor.targets import board_on

if TYPE_CHECKING:
    from markupsafe import Markup


def limits(report: Mapping[str, Any]) -> tuple[str, ...]:
    targets = devices(report)
    sentences = [sentence for device in targets for sentence in _of_device(device)]
    if report["kind"] == SEARCH:
        sentences += _of_search(report)
    return tuple(dict.fromkeys(sentences))


def draw_limits(data: tuple[str, ...]) -> Markup:
    return draw("limits.html", sentences=data)


def _of_device(device: Device) -> Iterator[str]:
    profile = device.profile
    if isinstance(profile["provenance"], str):
        yield f"Nothing was measured on a {device.target}. Times are {trust(device)}."
        return
    yield from _of_time(device)
    yield (
        "RAM is that of the network: arena, input and output buffers, and the stack as the "
        f"{profile['provenance']['stack']}. What the rest of a firmware needs comes on top."
    )
    yield "Time is that of one inference: reading a sensor and preparing its values come on top."
    if profile.get("energy_uj") is not None:
        yield "Energy is that of one inference, of the modelled time; see where it comes from."
    if profile["float_layers"]:
        names = listed([layer["name"] for layer in profile["float_layers"]])
        yield f"Computed in float: {names}."


def _of_time(device: Device) -> Iterator[str]:
    profile = device.profile
    measured = profile.get("measured")
    if measured is None or measured["simulated"]:
        where = board_on(device.target, profile["provenance"]["runner"])
        yield (
            f"Nothing was measured on a real {device.target}. Instructions are counted on the "
            f"{where}; times are modelled from them ({trust(device)})."
        )
    if profile["latency_ms"] is not None and not profile["provenance"]["board_calibrated"]:
        yield (
            f"The constants of {device.target} are uncalibrated: nobody compared them with a "
            "measurement of this board. tinytailor calibrate does that with a few."
        )


def _of_search(report: Mapping[str, Any]) -> Iterator[str]:
    samples = devices(report)[0].verification[0]["samples"]
    yield (
        f"Accuracy is that of {grouped(samples)} test inputs, which took no part in the search or "
        "in training. Inputs of another kind than these can be classified worse."
    )
    yield (
        f"One seed was tried ({report['seed']}), and {len(report['trials'])} networks; another "
        "seed, or more trials, can find another network."
    )
    for device in devices(report):
        if device.predicted and (estimated := device.predicted.get("estimated")):
            yield f"Predicted costs on {device.target} are {estimated['text']}, not from a table."
