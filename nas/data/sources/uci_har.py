# SPDX-License-Identifier: Apache-2.0
"""UCI-HAR (Anguita et al. 2013): people who carry a phone at the waist, windows of 2.56 s at 50 Hz,
each overlapping the one before it by half.

Its values are filtered, as floats. The steps are those of a sensor that a device may have: 16 bits
for +-4 g and for +-2000 degrees per second.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tinytailor.nas.data.dataset import Raw
from tinytailor.nas.data.following import half_overlaps
from tinytailor.nas.data.signal import inertial
from tinytailor.nas.data.sources.files import data_file, known_arrays, whole

RATE = 50.0
ACC_LSB = 4 / 2**15  # g
GYRO_LSB = math.radians(2000) / 2**15  # rad/s
CHANNELS = tuple(f"{s}_{axis}" for s in ("body_acc", "body_gyro", "total_acc") for axis in "xyz")
UNITS = (*("g",) * 3, *("rad/s",) * 3, *("g",) * 3)
STEPS = (*(ACC_LSB,) * 3, *(GYRO_LSB,) * 3, *(ACC_LSB,) * 3)
ACTIVITIES = ("walking", "upstairs", "downstairs", "sitting", "standing", "laying")
DYNAMIC = ((0, 1, 2, 6, 7, 8), (3, 4, 5))
KEYS = tuple(f"{key}_{part}" for key in ("x", "y", "subject") for part in ("train", "test"))


def from_uci_har(name: str, seed: int) -> Raw:
    """UCI-HAR inertial windows (128, 9), 6 classes, the official split by subject."""
    whole("uci-har", name)
    path = data_file("uci-har", "uci_har/uci_har.npz")
    arrays = known_arrays(path, *KEYS)
    x, subjects = arrays["x_train"], arrays["subject_train"]
    return Raw(
        "uci-har",
        str(path),
        x,
        arrays["y_train"],
        arrays["x_test"],
        arrays["y_test"],
        class_names=ACTIVITIES,
        # total_acc is body_acc and gravity: what moves in both has one gain.
        signal=replace(inertial(CHANNELS, UNITS, STEPS, RATE), dynamic=DYNAMIC),
        protocol=by_subject(subjects, arrays["subject_test"]),
        groups_train=subjects,
        groups_test=arrays["subject_test"],
        following=half_overlaps(x, subjects, arrays["y_train"]),
    )


def by_subject(train: np.ndarray, test: np.ndarray) -> str:
    """The protocol, with how many people are in each part."""
    counts = len(np.unique(train)), len(np.unique(test))
    return f"official split by subject, {counts[0]} to train and {counts[1]} to test"
