# SPDX-License-Identifier: Apache-2.0
"""What real values become at the input, and what numbers at the output stand for.

q = round((x - mean) / std / scale) + zero point        of each channel
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinytailor.cli.report_page.devices import devices
from tinytailor.cli.report_page.drawing import draw

if TYPE_CHECKING:
    from markupsafe import Markup

INTEGERS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}


@dataclass(frozen=True, slots=True)
class Channel:
    """``least`` and ``most``: the real values that the ends of the integers stand for."""

    index: int
    mean: float
    std: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Preprocessing:
    dtype: str
    scale: float
    zero_point: int
    channels: tuple[Channel, ...]
    classes: tuple[str, ...]


def preprocessing(report: Mapping[str, Any]) -> Preprocessing | None:
    values = report.get("preprocessing")
    if values is None:
        return None
    dtype = devices(report)[0].profile["inputs"][0]["dtype"]
    scale, zero = values["input_scale"], values["input_zero_point"]
    ends = [(q - zero) * scale for q in INTEGERS[dtype]]
    return Preprocessing(
        dtype,
        scale,
        zero,
        tuple(
            Channel(index, mean, std, *(mean + std * end for end in ends))
            for index, (mean, std) in enumerate(zip(values["mean"], values["std"], strict=True))
        ),
        tuple(values["class_names"]),
    )


def draw_preprocessing(data: Preprocessing) -> Markup:
    return draw("preprocessing.html", input=data)
