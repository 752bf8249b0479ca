# SPDX-License-Identifier: Apache-2.0
"""How this came about: what was asked for, with which seed and version, and where the files lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinytailor.cli.report_page.devices import devices
from tinytailor.cli.report_page.drawing import draw

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Facts:
    """A table of two columns."""

    title: str
    rows: tuple[tuple[str, str], ...]


def provenance(report: Mapping[str, Any]) -> tuple[Facts, ...]:
    return tuple(facts for facts in _facts(report) if facts.rows)


def draw_provenance(data: tuple[Facts, ...]) -> Markup:
    return draw("provenance.html", tables=data)


def _facts(report: Mapping[str, Any]) -> Iterator[Facts]:
    yield Facts("Made by", tuple(_made(report)))
    for device in devices(report):
        if device.predicted is not None:
            rows = sorted(device.predicted["provenance"].items())
            yield Facts(f"Predicted cost on {device.target}", tuple(rows))
    yield Facts("Settings", _rows(report.get("settings", {})))
    yield Facts("Network", _rows(report.get("architecture", {}).get("choices", {})))
    times = report.get("seconds", {})
    yield Facts("Time taken", _rows({stage: f"{took:.1f} s" for stage, took in times.items()}))
    yield Facts("Files", _rows(_files(report)))


def _files(report: Mapping[str, Any]) -> dict[str, Any]:
    """Of all targets, and those that each has of its own."""
    own = {
        f"{what}, {record['name']}": record[key]
        for record in report.get("targets", ())
        for what, key in (("C project", "project"), ("latency table", "table"))
    }
    return {**report.get("files", {}), **own}


def _made(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    profile = devices(report)[0].profile
    yield "tool", f"{profile['generator']} {profile['version']}"
    for key in ("data", "protocol", "space", "algorithm", "seed"):
        if key in report:
            yield key, _text(report[key])
    yield "model, SHA-256", profile["model_sha256"]


def _rows(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """By name, so that a page made from report.json is the page of the search."""
    return tuple((key, _text(values[key])) for key in sorted(values))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "none" if value is None else str(value)
