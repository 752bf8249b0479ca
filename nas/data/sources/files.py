# SPDX-License-Identifier: Apache-2.0
"""Where the files of known data sets are looked for, and what sources share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.nas.data.npz import read_npz
from tinytailor.targets.errors import InputError, ToolError
from tinytailor.targets.names import no_such

TEST_FRACTION = 0.3
SPLITS = ("train", "valid", "test")
BY_CLASS = f"a seeded split by class, {TEST_FRACTION:.0%} to test".replace("%", " %")


def data_file(spec: str, *names: str) -> Path:
    """The first of ``names`` in TINYTAILOR_DATA, else in shared/data beside the checkout."""
    folders = [Path(__file__).resolve().parents[4] / "shared" / "data"]
    if os.environ.get("TINYTAILOR_DATA"):
        folders.insert(0, Path(os.environ["TINYTAILOR_DATA"]))
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return folder / name
    raise InputError(
        f"data set {spec} needs the file {' or '.join(names)}, which is in none of: "
        f"{', '.join(map(str, folders))}; put it there or point TINYTAILOR_DATA at its folder"
    )


def known_arrays(path: Path, *keys: str) -> Mapping[str, np.ndarray]:
    """The arrays of a file; InputError for the first of ``keys`` that it lacks."""
    arrays = read_npz(path)
    for key in keys:
        if key not in arrays:
            raise no_such(f"{path} has no array {key}", key, tuple(arrays), label="it has")
    return arrays


def whole(spec: str, name: str) -> None:
    """InputError if something stands behind the colon of a set that has no parts to choose from."""
    if name:
        raise InputError(f"data set {spec}:{name}: {spec} is one set; write {spec} alone")


def pillow(path: Path) -> Any:
    """The module that opens images, for those in ``path``; what it cannot read is an OSError."""
    try:
        from PIL import Image
    except ImportError:
        raise ToolError(
            f"{path} holds images, and the package pillow is not installed; "
            "run: pip install tinytailor[data]"
        ) from None
    return Image
