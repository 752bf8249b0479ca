# SPDX-License-Identifier: Apache-2.0
"""Heartbeats of the MIT-BIH Arrhythmia Database (Moody and Mark 2001), in two leads at 128 Hz.

Values are millivolts: int16 samples times 1/200 mV. The parts are DS1 and DS2 of de Chazal et al.
2004, 22 records each. A record is of one patient, and records 201 and 202 are of the same one.
"""

from __future__ import annotations

import numpy as np

from tinytailor.nas.data.dataset import Raw
from tinytailor.nas.data.signal import Signal
from tinytailor.nas.data.sources.files import data_file, known_arrays, whole

LSB = 1 / 200  # mV
SIGNAL = Signal("ecg", ("MLII", "second lead"), ("mV", "mV"), (LSB, LSB), 128.0)
PROTOCOL = (
    "by patient, de Chazal DS1/DS2, 22 records to train and 22 to test, of which 201 (train) and "
    "202 (test) are of one patient"
)
KEYS = ("classes", *(f"{key}_{part}" for key in ("x", "y", "record") for part in ("train", "test")))


def from_mitbih(name: str, seed: int) -> Raw:
    """Beats (128, 2) of the AAMI classes N, S, V, F."""
    whole("mitbih", name)
    path = data_file("mitbih", "mitbih/mitbih_beats.npz")
    arrays = known_arrays(path, *KEYS)
    x_train, x_test = (
        arrays[f"x_{part}"].astype(np.float32) * np.float32(LSB) for part in ("train", "test")
    )
    return Raw(
        "mitbih",
        str(path),
        x_train,
        arrays["y_train"],
        x_test,
        arrays["y_test"],
        class_names=tuple(map(str, arrays["classes"])),
        signal=SIGNAL,
        protocol=PROTOCOL,
        groups_train=arrays["record_train"],
        groups_test=arrays["record_test"],
        group="record",
    )
