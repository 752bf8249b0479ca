# SPDX-License-Identifier: Apache-2.0
"""Images in one sub-folder a class: PNG and JPEG files, all of one size.

    FOLDER/CLASS/*.png, *.jpg, *.jpeg         a part of each class is tested, by chance
    FOLDER/train/CLASS/..., FOLDER/test/CLASS/..., FOLDER/valid/CLASS/...       parts of their own

x is uint8 (N, H, W, C): C = 1 if all files are grey, else 3 (red, green, blue).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.compiler.training_record import digest_of
from tinytailor.nas.data.dataset import Raw
from tinytailor.nas.data.signal import Signal
from tinytailor.nas.data.sources.files import BY_CLASS, SPLITS, TEST_FRACTION, pillow
from tinytailor.nas.data.splits import stratified_split
from tinytailor.targets.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg")
GREY = ("1", "L", "LA")  # as pillow calls them
COLOUR = ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
RGB = ("red", "green", "blue")
OWN_PARTS = "the folder's own parts: {}"


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    label: str
    part: str


def from_image_folder(name: str, seed: int) -> Raw:
    """``name`` is the folder."""
    folder = Path(name)
    if not name or not folder.is_dir():
        raise InputError(f"data set folder:{name}: there is no such folder")
    files = _files(folder)
    x = _decoded(files)
    y = np.array([file.label for file in files])
    parts = np.array([file.part for file in files])
    names = [part for part in SPLITS if (parts == part).any()]
    protocol = OWN_PARTS.format(", ".join(names))
    if "test" not in names:
        seen = np.flatnonzero(parts == "train")
        rng = np.random.default_rng(seed)
        parts[seen[stratified_split(name, y[seen], TEST_FRACTION, rng)]] = "test"
        protocol = BY_CLASS
    train, valid, test = (parts == part for part in SPLITS)
    own = bool(valid.any())
    return Raw(
        folder.resolve().name,
        name,
        x[train],
        y[train],
        x[test],
        y[test],
        x[valid] if own else None,
        y[valid] if own else None,
        digest=digest_of([x, y, parts]),
        signal=Signal("image", RGB if x.shape[-1] == 3 else ("grey",)),
        protocol=protocol,
    )


def _files(folder: Path) -> list[_File]:
    """In the order of their names. Sub-folders are parts if one is train and all are parts."""
    inside = _folders(folder)
    names = {one.name for one in inside}
    if "train" in names and names <= set(SPLITS):
        classes = [(one, part.name) for part in inside for one in _folders(part)]
    else:
        classes = [(one, "train") for one in inside]
    if not classes:
        raise InputError(
            f"data set folder:{folder} holds no sub-folders, expected one for each class with its "
            "images in it"
        )
    files = []
    for one, part in classes:
        images = sorted(p for p in one.iterdir() if p.suffix.lower() in SUFFIXES)
        if not images:
            raise InputError(
                f"{one} holds no images, expected {', '.join(SUFFIXES)} files of one class; "
                "remove the folder, or fill it"
            )
        files += [_File(path, one.name, part) for path in images]
    return files


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _decoded(files: list[_File]) -> np.ndarray:
    """uint8 (N, H, W, C), grey as long as all are."""
    images = [_image(file.path) for file in files]
    first = images[0]
    for file, image in zip(files, images, strict=True):
        if image.size != first.size:
            raise InputError(
                f"{file.path} has {image.width} x {image.height} pixels and {files[0].path} "
                f"{first.width} x {first.height}; expected images of one size: resize them first"
            )
    mode = "L" if all(image.mode in GREY for image in images) else "RGB"
    x = np.stack([np.asarray(image.convert(mode)) for image in images])
    return x[..., None] if mode == "L" else x


def _image(path: Path) -> Any:
    """Decoded, in a mode of 8 bits."""
    try:
        with pillow(path).open(path) as file:
            file.load()
            image = file.copy()
    except (OSError, SyntaxError) as error:
        raise InputError(f"{path} is no image that can be read: {error}") from None
    if image.mode not in (*GREY, *COLOUR):
        raise InputError(
            f"{path} has pixels of mode {image.mode}, expected 8 bits, grey or colour; convert it "
            "first, or give the numbers as npz:FILE"
        )
    return image
