# SPDX-License-Identifier: Apache-2.0
"""Recorded inputs of every network, (N, *shape) with the channels last.

The first ``CALIBRATED`` are those that ranges are taken from; what is compared comes behind them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

CALIBRATED = 40


def enlarged(images: np.ndarray, size: int) -> np.ndarray:
    """Square images (N, h, h, C) of another size, bilinear, ends on ends."""
    place = np.linspace(0, images.shape[1] - 1, size)
    low = np.minimum(place.astype(int), images.shape[1] - 2)
    part = (place - low).astype(np.float32)[:, None, None]
    rows = images[:, low] * (1 - part) + images[:, low + 1] * part
    part = part[:, :, 0][None, None]
    return rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part


def photos(data: Path, size: int) -> np.ndarray:
    """100 photos, 0 to 255, (100, size, size, 3) float32."""
    stored = np.load(data / "cifar10/cifar10_train100_lossless.npz")["x"]
    # They lie class by class: every tenth, then the next of each.
    mixed = stored[np.arange(100).reshape(10, 10).T.ravel()].astype(np.float32)
    return enlarged(mixed, size).astype(np.float32)


def normal_photos(data: Path, size: int) -> np.ndarray:
    """The photos from -1 to 1."""
    return photos(data, size) / np.float32(127.5) - np.float32(1)


def grey_photos(data: Path, size: int) -> np.ndarray:
    """The photos in grey from -1 to 1, (100, size, size, 1)."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return (normal_photos(data, size) * weights).sum(axis=-1, keepdims=True, dtype=np.float32)


def motion(data: Path) -> np.ndarray:
    """120 windows of an accelerometer and a gyroscope, (120, 128, 6) float32."""
    windows = np.load(data / "uci_har/uci_har.npz")["x_test"][::24, :, :6]
    return windows[:120].astype(np.float32)


def heartbeats(data: Path) -> np.ndarray:
    """120 beats of one lead in mV, (120, 360, 1) float32: a second, resampled to 360 Hz."""
    beats = np.load(data / "mitbih/mitbih_beats.npz")["x_test"][::136, :, 0][:120] / 200.0
    place = np.linspace(0, beats.shape[1] - 1, 360)
    rows = [np.interp(place, range(beats.shape[1]), beat) for beat in beats]
    return np.stack(rows)[..., None].astype(np.float32)


def words(data: Path) -> np.ndarray:
    """Coefficients of 120 recorded words, (120, 49, 10, 1) float32."""
    stored = np.load(data / "mlperf_tiny/inputs/kws01.npz")["x"][:120].astype(np.float32)
    return ((stored - 83) * np.float32(0.5847029089927673)).reshape(-1, 49, 10, 1)


def pictures(size: int) -> Callable[[Path], np.ndarray]:
    return lambda data: normal_photos(data, size)


# By the name of the network's file: NAME.tflite is int8, NAME.onnx is exported by torch in float.
INPUTS: dict[str, Callable[[Path], np.ndarray]] = {
    "person_detect.tflite": lambda data: grey_photos(data, 96),
    "mobilenet_v2.tflite": pictures(96),
    "mobilenet_v3_small.tflite": lambda data: photos(data, 96),
    "detector.tflite": pictures(96),
    "unet_transposed.tflite": pictures(64),
    "unet_transposed_fixed.tflite": pictures(64),
    "unet_bilinear.tflite": pictures(64),
    "tcn.tflite": motion,
    "ecg_resnet.tflite": heartbeats,
    "mobilenet_v2.onnx": pictures(96),
    "mobilenet_v3_small.onnx": pictures(96),
    "yolo_nano.onnx": pictures(96),
    "unet.onnx": pictures(64),
    "unet_bilinear.onnx": pictures(64),
    "tcn.onnx": motion,
    "ecg.onnx": heartbeats,
    "ds_cnn.onnx": words,
}
