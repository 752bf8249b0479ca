# SPDX-License-Identifier: Apache-2.0
"""What keras_files.zip holds (make_keras_files.py), and which layers have no integer form yet."""

from __future__ import annotations

import zipfile
from pathlib import Path

ARCHIVE = Path(__file__).with_name("keras_files.zip")
NAMES = zipfile.ZipFile(ARCHIVE).namelist()
KINDS = ("int8", "dynamic", "float")
# Whatever the batch: an operator that stands in the way, and the kinds of files that hold it.
REFUSED: dict[str, tuple[str, tuple[str, ...]]] = {
    "Conv3D": ("CONV_3D", KINDS),
}


def parts(name: str) -> tuple[str, str, str]:
    """Layer, batch (1 or free) and kind of a file."""
    layer, batch, kind = name.removesuffix(".tflite").rsplit("-", 2)
    return layer, batch, kind


def obstacle(name: str) -> str:
    """The operator for which a file is refused; empty if it is imported."""
    layer, _, kind = parts(name)
    operator, kinds = REFUSED.get(layer, ("", ()))
    return operator if kind in kinds else ""


def stored(name: str) -> bytes:
    return zipfile.ZipFile(ARCHIVE).read(name)
