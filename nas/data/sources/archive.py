# SPDX-License-Identifier: Apache-2.0
"""The UCR/UEA archive of time series: sets that the package aeon bundles, and ts_small.npz.

Its files hold numbers alone. What is known of a set beside that is here, by its name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinytailor.nas.data.dataset import Raw
from tinytailor.nas.data.signal import Signal
from tinytailor.nas.data.sources.files import data_file, known_arrays
from tinytailor.targets.errors import InputError, ToolError
from tinytailor.targets.names import no_such

PROTOCOL = "the archive's own train and test part"
MOTIONS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
ACC_AND_GYRO = ((0, 1, 2), (3, 4, 5))

SIGNALS: dict[str, Signal] = {
    # A watch, ten samples a second; someone who stands accelerates by 0: it is without gravity.
    "BasicMotions": Signal("inertial", MOTIONS, (), None, 10.0, ACC_AND_GYRO, ACC_AND_GYRO),
    "GunPoint": Signal("series", ("hand_x",)),
    "JapaneseVowels": Signal("series", tuple(f"lpc_cepstrum_{i}" for i in range(1, 13))),
}


def from_ucr(name: str, seed: int) -> Raw:
    """A set bundled with aeon, equal-length version, its own train and test parts; no network."""
    return _bundled(f"ucr:{name}", name)


def from_uea(name: str, seed: int) -> Raw:
    """The same archive: UEA is the name of its sets of several channels."""
    return _bundled(f"uea:{name}", name)


def from_ts_small(name: str, seed: int) -> Raw:
    """One of the small archive sets in ts_small/ts_small.npz, arrays NAME/x_train and so on."""
    path = data_file(f"ts-small:{name}", "ts_small/ts_small.npz")
    arrays = known_arrays(path)
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
        signal=SIGNALS.get(name),
        protocol=PROTOCOL,
    )


def _bundled(spec: str, name: str) -> Raw:
    try:
        import aeon.datasets as datasets
    except ImportError:
        raise ToolError(
            f"data set {spec} comes with the package aeon, which is not installed; "
            "run: pip install tinytailor[data]"
        ) from None
    folder = Path(datasets.__file__).parent / "data"
    bundled = sorted(path.parent.name for path in folder.glob("*/*_TRAIN.ts"))
    if name not in bundled:
        problem = f"data set {spec} does not come with aeon, and nothing is downloaded"
        raise no_such(problem, name, bundled, label="bundled", end="or any other as npz:FILE")
    parts = []
    for split in ("train", "test"):
        x, y = datasets.load_classification(name, split=split, load_equal_length=True)
        if isinstance(x, list):
            lengths = [series.shape[1] for series in x]
            raise InputError(
                f"data set {spec} has series of {min(lengths)} to {max(lengths)} samples, "
                "expected one length; cut or resample them and use npz:FILE"
            )
        parts.append((np.ascontiguousarray(x.transpose(0, 2, 1)), np.asarray(y).astype(str)))
    (x_train, y_train), (x_test, y_test) = parts
    signal = SIGNALS.get(name)
    return Raw(name, spec, x_train, y_train, x_test, y_test, signal=signal, protocol=PROTOCOL)
