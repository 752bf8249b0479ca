# SPDX-License-Identifier: Apache-2.0
"""Where data come from; known sets of images are in images.py.

Each function takes the part of the specification after the colon.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinytailor.compiler.training_record import digest_of
from tinytailor.nas.data.dataset import (
    Raw,
    check_labels,
    check_samples,
    stratified_split,
    subject_split,
)
from tinytailor.nas.data.npz import read_npz
from tinytailor.targets.errors import InputError, ToolError
from tinytailor.targets.names import no_such

TEST_FRACTION = 0.3
SPLITS = ("train", "valid", "test")
COLUMNS = ("x", "y", "split", "subject")


def from_aeon(name: str, seed: int) -> Raw:
    """A set bundled with aeon, equal-length version, its own train and test parts; no network."""
    try:
        import aeon.datasets as datasets
    except ImportError:
        raise ToolError(
            f"data set ucr:{name} comes with the package aeon, which is not installed; "
            "run: pip install tinytailor[data]"
        ) from None
    folder = Path(datasets.__file__).parent / "data"
    bundled = sorted(path.parent.name for path in folder.glob("*/*_TRAIN.ts"))
    if name not in bundled:
        problem = f"data set ucr:{name} does not come with aeon, and nothing is downloaded"
        raise no_such(problem, name, bundled, label="bundled", end="or any other as npz:FILE")
    parts = []
    for split in ("train", "test"):
        x, y = datasets.load_classification(name, split=split, load_equal_length=True)
        if isinstance(x, list):
            lengths = [series.shape[1] for series in x]
            raise InputError(
                f"data set ucr:{name} has series of {min(lengths)} to {max(lengths)} samples, "
                "expected one length; cut or resample them and use npz:FILE"
            )
        parts.append((np.ascontiguousarray(x.transpose(0, 2, 1)), np.asarray(y).astype(str)))
    (x_train, y_train), (x_test, y_test) = parts
    return Raw(name, f"ucr:{name}", x_train, y_train, x_test, y_test)


def from_npz(name: str, seed: int) -> Raw:
    """Samples x, labels y and optionally split (train, valid, test) or subject.

    Without either of the two, a seeded split.
    """
    arrays = read_npz(Path(name))
    missing = [key for key in ("x", "y") if key not in arrays]
    if missing:
        problem = f"{name} has no array {' and no array '.join(missing)}"
        raise no_such(problem, missing[0], tuple(arrays), label="it has")
    x, y = arrays["x"], text_of(arrays["y"])
    check_samples(name, "x", x)
    check_labels(name, "y", y, len(x))
    split = split_of(name, arrays, seed)
    subjects = _column(name, "subject", arrays, len(x))
    train, valid, test = (split == part for part in SPLITS)
    for part, mask in (("train", train), ("test", test)):
        if not mask.any():
            raise InputError(f"{name}: array split has no {part!r} series, expected some")
    own_valid = bool(valid.any())
    return Raw(
        Path(name).stem,
        name,
        x[train],
        y[train],
        x[test],
        y[test],
        x[valid] if own_valid else None,
        y[valid] if own_valid else None,
        subjects[train] if subjects is not None else None,
        digest=digest_of_file(arrays),
    )


def digest_of_file(arrays: Mapping[str, np.ndarray]) -> str:
    """Of all that a search takes from an .npz file, however it is stored."""
    taken = {**arrays, "y": text_of(arrays["y"])}
    return digest_of([taken[key] for key in COLUMNS if key in taken])


def split_of(name: str, arrays: Mapping[str, np.ndarray], seed: int) -> np.ndarray:
    """The part of each row, (N,) strings: what array split says, else a part of the subjects is the
    test part, else a part of each class; by chance, but the same for a seed."""
    y = text_of(arrays["y"])
    split = _column(name, "split", arrays, len(y))
    if split is None:
        rng = np.random.default_rng(seed)
        subjects = _column(name, "subject", arrays, len(y))
        if subjects is not None and len(np.unique(subjects)) > 1:
            test = subject_split(subjects, TEST_FRACTION, rng)
        else:
            test = stratified_split(name, y, TEST_FRACTION, rng)
        return np.where(test, "test", "train")
    unknown = np.setdiff1d(split, SPLITS)
    if len(unknown):
        word = str(unknown[0])
        raise no_such(f"{name}: array split holds {word!r}", word, SPLITS, label="it can hold")
    return split


def text_of(labels: np.ndarray) -> np.ndarray:
    """Labels that are bytes as text."""
    return np.char.decode(labels, "utf-8", "replace") if labels.dtype.kind == "S" else labels


def from_uci_har(name: str, seed: int) -> Raw:
    """UCI-HAR inertial windows (128, 9), 6 classes, the official split by subject."""
    path = data_file("uci-har", "uci_har/uci_har.npz")
    arrays = read_npz(path)
    return Raw(
        "uci-har",
        str(path),
        arrays["x_train"],
        arrays["y_train"],
        arrays["x_test"],
        arrays["y_test"],
        subjects=arrays["subject_train"],
        class_names=("walking", "upstairs", "downstairs", "sitting", "standing", "laying"),
    )


def from_ts_small(name: str, seed: int) -> Raw:
    """One of the small archive sets in ts_small/ts_small.npz, arrays NAME/x_train and so on."""
    path = data_file(f"ts-small:{name}", "ts_small/ts_small.npz")
    arrays = read_npz(path)
    if f"{name}/x_train" not in arrays:
        known = sorted({key.split("/")[0] for key in arrays})
        raise no_such(f"{path} has no set {name!r}", name, known, label="it has")
    return Raw(
        name,
        f"{path}, set {name}",
        arrays[f"{name}/x_train"],
        arrays[f"{name}/y_train"],
        arrays[f"{name}/x_test"],
        arrays[f"{name}/y_test"],
        class_names=tuple(map(str, arrays[f"{name}/classes"])),
    )


def data_file(spec: str, *names: str) -> Path:
    """The first of ``names`` in TINYTAILOR_DATA, else in shared/data beside the checkout."""
    folders = [Path(__file__).resolve().parents[3] / "shared" / "data"]
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


def _column(name: str, key: str, arrays: Mapping[str, np.ndarray], count: int) -> np.ndarray | None:
    if key not in arrays:
        return None
    column = arrays[key]
    if column.shape != (count,):
        raise InputError(f"{name}: array {key} has shape {column.shape}, expected ({count},)")
    return column
