# SPDX-License-Identifier: Apache-2.0
"""HAPT (Reyes-Ortiz et al. 2015): the raw recordings of UCI-HAR, with transitions between postures.

    raw          int16 samples at 50 Hz: x, y, z of an accelerometer, then of a gyroscope
    labels       segments: recording, subject, class 1..12, first and last sample, counted from 1
    windows      of 128 samples, every 64 from the first of a segment on, as far as they lie in it

A segment that is shorter than a window gives none. Values are samples times their steps, so that
value / step is the sample again, exactly once it is rounded.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinytailor.nas.data.dataset import Raw
from tinytailor.nas.data.following import reindexed
from tinytailor.nas.data.signal import inertial
from tinytailor.nas.data.sources.files import data_file, known_arrays, whole
from tinytailor.nas.data.sources.uci_har import ACTIVITIES, RATE, by_subject

WINDOW, STEP = 128, 64
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
UNITS = (*("g",) * 3, *("rad/s",) * 3)
CLASSES = (
    *ACTIVITIES,
    *("stand-to-sit", "sit-to-stand", "sit-to-lie", "lie-to-sit", "stand-to-lie", "lie-to-stand"),
)
KEYS = ("raw", "offset", "experiment", "labels", "acc_lsb_g", "gyro_lsb_rad_s", "win_test")


def from_hapt(name: str, seed: int) -> Raw:
    """Windows (128, 6) of 12 classes; tested with the subjects of UCI-HAR's test part."""
    whole("hapt", name)
    path = data_file("hapt", "uci_har/hapt_raw.npz")
    arrays = known_arrays(path, *KEYS)
    begin, segment = window_table(arrays)
    subjects, classes = arrays["labels"][segment, 1], arrays["labels"][segment, 2] - 1
    steps = np.repeat([float(arrays["acc_lsb_g"]), float(arrays["gyro_lsb_rad_s"])], 3)
    samples = arrays["raw"][begin[:, None] + np.arange(WINDOW)]
    x = samples.astype(np.float32) * steps.astype(np.float32)
    test = np.isin(subjects, arrays["win_test"][:, 2])
    following = np.append(np.where(np.diff(segment) == 0, np.arange(1, len(begin)), -1), -1)
    return Raw(
        "hapt",
        str(path),
        x[~test],
        classes[~test],
        x[test],
        classes[test],
        class_names=CLASSES,
        signal=inertial(CHANNELS, UNITS, tuple(map(float, steps)), RATE),
        protocol=by_subject(subjects[~test], subjects[test]),
        groups_train=subjects[~test],
        groups_test=subjects[test],
        following=reindexed(following, np.flatnonzero(~test)),
    )


def window_table(arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Of each window its first sample in array raw, and its row in array labels."""
    experiment, _, _, first, last = arrays["labels"].T
    start = arrays["offset"][np.searchsorted(arrays["experiment"], experiment)] + first - 1
    counts = np.maximum((last - first + 1 - WINDOW) // STEP + 1, 0)
    segment = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
    return start[segment] + STEP * within, segment
