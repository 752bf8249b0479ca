# SPDX-License-Identifier: Apache-2.0
"""Files to inspect, and what was found of their operators."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "frontend"))
sys.path.insert(0, str(Path(__file__).parents[1] / "quantize"))

from keras_layers import stored

from tinytailor.compiler.inspection import Inspection

FREE = [
    f"{layer}-free-{kind}.tflite"
    for layer, kind in (
        ("Conv1D_dilated", "int8"),
        ("Conv2D_dilated_same", "float"),
        ("Conv2DTranspose", "int8"),
        ("Dense_of_a_series", "int8"),
        ("Dense_of_a_series", "dynamic"),
        ("DepthwiseConv1D", "float"),
        ("Flatten", "int8"),
        ("BatchNormalization", "int8"),
        ("RepeatVector", "float"),
        ("SeparableConv1D", "int8"),
        ("UpSampling2D_bilinear", "int8"),
    )
]
IMAGE = (1, 3, 8, 8)


def keras(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(stored(name))
    return path


def written(data: bytes, folder: Path, name: str = "model.onnx") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def forms(found: Inspection) -> dict[str, list[str | None]]:
    """Of the operators of each kind, in order."""
    result: dict[str, list[str | None]] = {}
    for operator, form in zip(found.file.operators, found.forms, strict=True):
        result.setdefault(operator.kind, []).append(form)
    return result


def cases_of(data_folder: Path) -> Path:
    """Small rebuilds of files that users reported, beside the folder of data."""
    folder = data_folder.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"no model files at {folder}")
    return folder
