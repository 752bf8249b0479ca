#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tflite.zip: networks as Keras users have them, converted to int8 by TensorFlow's converter.

usage: python benchmarks/ordinary_models/make_tflite.py DATA_FOLDER

It needs tensorflow-cpu from PyPI (made with 2.21 and Keras 3.15). Weights are random after He,
batch norms have the statistics of real inputs, ranges are taken from real inputs.
"""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from real_inputs import CALIBRATED, INPUTS

ARCHIVE = Path(__file__).with_name("tflite.zip")
DATE = (2026, 1, 1, 0, 0, 0)  # of every file, so that the same files are the same archive


def mobilenet_v2() -> keras.Model:
    return keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=10)


def mobilenet_v3_small() -> keras.Model:
    return keras.applications.MobileNetV3Small((96, 96, 3), alpha=0.35, weights=None, classes=10)


def conv(x: Any, filters: int, kernel: int = 3, strides: int = 1, act: str | None = "relu") -> Any:
    x = layers.Conv2D(filters, kernel, strides, "same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return x if act is None else layers.Activation(act)(x)


def unet(up: Callable[[Any, int], Any], end: Callable[[Any], Any]) -> keras.Model:
    """Two levels down, two up, each joined with the map it skipped."""
    x = entry = keras.Input((64, 64, 3))
    skipped = []
    for filters in (8, 16):
        x = conv(conv(x, filters), filters)
        skipped.append(x)
        x = layers.MaxPooling2D()(x)
    x = conv(conv(x, 32), 32)
    for filters, skip in zip((16, 8), reversed(skipped), strict=True):
        x = layers.Concatenate()([up(x, filters), skip])
        x = conv(conv(x, filters), filters)
    return keras.Model(entry, end(x))


def unet_transposed() -> keras.Model:
    return unet(
        lambda x, filters: layers.Conv2DTranspose(filters, 2, strides=2, padding="same")(x),
        lambda x: layers.Conv2D(1, 1, activation="sigmoid")(x),
    )


def unet_bilinear() -> keras.Model:
    return unet(
        lambda x, filters: layers.UpSampling2D(interpolation="bilinear")(x),
        lambda x: layers.Softmax()(layers.Conv2D(4, 1)(x)),
    )


def tcn() -> keras.Model:
    """Causal convolutions of dilations 1, 2, 4, 8 in residual blocks; the last moment decides."""
    x = entry = keras.Input((128, 6))
    for dilation in (1, 2, 4, 8):
        y = x
        for _ in range(2):
            y = layers.Conv1D(24, 3, padding="causal", dilation_rate=dilation)(y)
            y = layers.ReLU()(layers.BatchNormalization()(y))
        cut = x if x.shape[-1] == 24 else layers.Conv1D(24, 1)(x)
        x = layers.ReLU()(layers.Add()([y, cut]))
    x = layers.Lambda(lambda series: series[:, -1, :])(x)
    return keras.Model(entry, layers.Dense(6, activation="softmax")(x))


def ecg_resnet() -> keras.Model:
    """Residual blocks of wide 1-D convolutions, halved in time by each."""
    x = entry = keras.Input((360, 1))
    x = layers.Conv1D(16, 15, 2, "same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for filters in (16, 24, 32, 48):
        y = layers.Conv1D(filters, 7, 2, "same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv1D(filters, 7, 1, "same", use_bias=False)(y)
        y = layers.BatchNormalization()(y)
        cut = layers.Conv1D(filters, 1)(layers.MaxPooling1D(2, padding="same")(x))
        x = layers.ReLU()(layers.Add()([y, cut]))
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling1D()(x))
    return keras.Model(entry, layers.Dense(4, activation="softmax")(x))


def inverted(x: Any, expand: int, kernel: int, filters: int, strides: int) -> Any:
    y = conv(x, x.shape[-1] * expand, 1, act="relu6")
    y = layers.DepthwiseConv2D(kernel, strides, "same", use_bias=False)(y)
    y = layers.Activation("relu6")(layers.BatchNormalization()(y))
    y = conv(y, filters, 1, act=None)
    return layers.Add()([x, y]) if strides == 1 and x.shape[-1] == filters else y


# expand, kernel, filters, strides of each block, as searched for microcontrollers
BLOCKS = (
    ((1, 3, 8, 1), (3, 7, 12, 2), (3, 3, 12, 1), (3, 5, 12, 1), (3, 3, 12, 1)),
    ((4, 5, 16, 2), (3, 3, 16, 1), (4, 5, 16, 1), (3, 3, 16, 1)),
    ((4, 7, 24, 2), (3, 5, 24, 1), (4, 3, 32, 1), (4, 5, 32, 1), (3, 7, 32, 1)),
    ((4, 5, 48, 2), (3, 3, 48, 1), (4, 5, 48, 1), (3, 3, 48, 1)),
)


def detector() -> keras.Model:
    """Inverted residuals and a head for each of three scales: 2 anchors of 4 + 1 + 3 numbers."""
    x = entry = keras.Input((96, 96, 3))
    x = conv(x, 8, 3, 2, "relu6")
    scales = []
    for stage in BLOCKS:
        for expand, kernel, filters, strides in stage:
            x = inverted(x, expand, kernel, filters, strides)
        scales.append(x)
    outputs = []
    for number, scale in enumerate(scales[1:]):
        y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(scale)
        y = layers.Activation("relu6")(layers.BatchNormalization()(y))
        y = conv(y, 24, 1, act="relu6")
        outputs.append(layers.Conv2D(2 * 8, 1, name=f"scale{number}")(y))
    return keras.Model(entry, outputs)


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_small": mobilenet_v3_small,
    "unet_transposed": unet_transposed,
    "unet_bilinear": unet_bilinear,
    "tcn": tcn,
    "ecg_resnet": ecg_resnet,
    "detector": detector,
}
FIXED = ("unet_transposed",)


def fill(model: keras.Model, samples: np.ndarray, seed: int) -> None:
    """Random weights, and batch norms that have seen ``samples``."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(rng.normal(0, 0.3, layer.beta.shape))
            continue
        for weight in layer.trainable_weights:
            spread = 0.1
            if "kernel" in weight.path:
                own = 1 if isinstance(layer, layers.DepthwiseConv2D) else weight.shape[-2]
                spread = np.sqrt(2 / (np.prod(weight.shape[:-2]) * own))
            weight.assign(rng.normal(0, spread, weight.shape))
    keras.utils.set_random_seed(seed)
    model(samples, training=True)


def converted(model: keras.Model, samples: np.ndarray) -> bytes:
    def representative() -> Iterator[list[np.ndarray]]:
        for sample in samples:
            yield [sample[None]]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def files(data: Path) -> Iterator[tuple[str, bytes]]:
    """The converter leaves the batch free, as Keras does, but for copies of FIXED."""
    for seed, (name, build) in enumerate(NETWORKS.items()):
        keras.utils.clear_session()
        samples = INPUTS[f"{name}.tflite"](data)[:CALIBRATED]
        model = build()
        fill(model, samples, seed)
        yield f"{name}.tflite", converted(model, samples)
        if name in FIXED:
            fixed = keras.models.clone_model(model, keras.Input(samples.shape[1:], batch_size=1))
            fixed.set_weights(model.get_weights())
            yield f"{name}_fixed.tflite", converted(fixed, samples)


def main() -> None:
    with zipfile.ZipFile(ARCHIVE, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, file in files(Path(sys.argv[1])):
            archive.writestr(zipfile.ZipInfo(name, DATE), file, zipfile.ZIP_DEFLATED)
            print(f"{name}: {len(file):,} bytes", flush=True)


if __name__ == "__main__":
    main()
