# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10 (Krizhevsky 2009), 32 x 32 pixels, 10 classes.

    cifar-10-binary.tar.gz      the archive that its author publishes, "binary version": records of
                                a label byte and 32 x 32 bytes each of red, green and blue
    cifar10/cifar10_jpeg.npz    the same images as JPEG, in fewer bytes: jpeg_PART (all files one
                                after the other), offset_PART, y_PART, classes

The first one found is read. ``cifar10:COUNT`` takes COUNT images of either part, the first ones of
each class, because a whole training takes long on a processor without a graphics card.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinytailor.nas.data.dataset import Raw
from tinytailor.nas.data.signal import Signal
from tinytailor.nas.data.sources.files import data_file, known_arrays, pillow
from tinytailor.targets.errors import InputError

ARCHIVE = "cifar-10-binary.tar.gz"
JPEG = "cifar10/cifar10_jpeg.npz"
FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
SIDE, CLASSES = 32, 10
RECORD = 1 + 3 * SIDE * SIDE


def from_cifar10(name: str, seed: int) -> Raw:
    """``name`` is empty or a count; the parts are the official ones."""
    count = _count(name)
    path = data_file("cifar10", ARCHIVE, f"cifar10/{ARCHIVE}", JPEG)
    read = _from_jpeg if path.suffix == ".npz" else _from_archive
    (x_train, y_train), (x_test, y_test), classes = read(path, count)
    few = "" if count is None else f", the first {count // CLASSES} of each class of either part"
    return Raw(
        "cifar10",
        str(path),
        x_train,
        y_train,
        x_test,
        y_test,
        class_names=classes,
        signal=Signal("photo", ("red", "green", "blue")),
        protocol=f"official split{few}",
    )


Part = tuple[np.ndarray, np.ndarray]  # x uint8 (N, 32, 32, 3), y int64 (N,)


def _count(name: str) -> int | None:
    if not name:
        return None
    if not (name.isascii() and name.isdecimal()) or int(name) < 2 * CLASSES:
        raise InputError(
            f"data set cifar10:{name}: {name!r} is not a number of images of {2 * CLASSES} or more"
        )
    return int(name)


def first_of_each_class(y: np.ndarray, count: int | None) -> np.ndarray:
    """Rows, in order: ``count // 10`` of each class, all without a count."""
    if count is None:
        return np.arange(len(y))
    rows = [np.flatnonzero(y == label)[: count // CLASSES] for label in range(CLASSES)]
    return np.sort(np.concatenate(rows))


def _from_archive(path: Path, count: int | None) -> tuple[Part, Part, tuple[str, ...]]:
    wanted = (*TRAIN, "test_batch.bin", "batches.meta.txt")
    try:
        with tarfile.open(path) as archive:
            files = {name: _member(path, archive, name) for name in wanted}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(f"cannot read {path} as an archive: {error}") from None
    classes = tuple(files["batches.meta.txt"].decode("ascii", "replace").split())
    train = _records(path, b"".join(files[name] for name in TRAIN), count)
    return train, _records(path, files["test_batch.bin"], count), classes


def _member(path: Path, archive: tarfile.TarFile, name: str) -> bytes:
    try:
        file = archive.extractfile(f"{FOLDER}/{name}")
    except KeyError:
        file = None
    if file is None:
        raise InputError(
            f"{path} holds no file {FOLDER}/{name}; expected CIFAR-10's binary version"
        )
    return file.read()


def _records(path: Path, data: bytes, count: int | None) -> Part:
    if not data or len(data) % RECORD:
        raise InputError(f"{path}: a batch of {len(data)} bytes, expected records of {RECORD}")
    records = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
    y = records[:, 0].astype(np.int64)
    if y.max() >= CLASSES:
        raise InputError(f"{path}: holds the label {y.max()}, expected 0 to {CLASSES - 1}")
    rows = first_of_each_class(y, count)
    planes = records[rows, 1:].reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), y[rows]


def _from_jpeg(path: Path, count: int | None) -> tuple[Part, Part, tuple[str, ...]]:
    keys = [f"{kind}_{part}" for part in ("train", "test") for kind in ("jpeg", "offset", "y")]
    arrays = known_arrays(path, *keys, "classes")
    train, test = (_decoded(path, arrays, part, count) for part in ("train", "test"))
    return train, test, tuple(map(str, arrays["classes"]))


def _decoded(path: Path, arrays: Mapping[str, np.ndarray], part: str, count: int | None) -> Part:
    image_of = pillow(path)
    data, offset = arrays[f"jpeg_{part}"].tobytes(), arrays[f"offset_{part}"]
    y = arrays[f"y_{part}"].astype(np.int64)
    rows = first_of_each_class(y, count)
    x = np.empty((len(rows), SIDE, SIDE, 3), np.uint8)
    for i, row in enumerate(rows):
        try:
            image = image_of.open(io.BytesIO(data[offset[row] : offset[row + 1]])).convert("RGB")
        except (OSError, IndexError) as error:
            raise InputError(f"{path}: image {row} of jpeg_{part} is broken: {error}") from None
        if image.size != (SIDE, SIDE):
            raise InputError(
                f"{path}: image {row} of jpeg_{part} has {image.width} x {image.height} pixels, "
                f"expected {SIDE} x {SIDE}"
            )
        x[i] = np.asarray(image)
    return x, y[rows]
