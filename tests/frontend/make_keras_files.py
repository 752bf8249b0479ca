#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""keras_files.zip: each layer of Keras alone in a model, converted to TFLite in six ways.

usage: python tests/frontend/make_keras_files.py

It needs tensorflow-cpu from PyPI (made with 2.21 and Keras 3.15).

    NAME-BATCH-KIND.tflite     BATCH 1 or free, KIND int8, dynamic or float

With a free batch, Keras' default, the converter leaves shape arithmetic in the file. Weights and
biases are random, so nothing is folded away.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

ARCHIVE = Path(__file__).with_name("keras_files.zip")
IMAGE, SERIES, ROW, VOLUME = (6, 5, 4), (12, 3), (8,), (4, 6, 5, 2)
DATE = (2026, 1, 1, 0, 0, 0)  # of every file, so that the same files are the same archive

LAYERS = {
    "Activation_elu": (IMAGE, layers.Activation("elu")),
    "Activation_exponential": (IMAGE, layers.Activation("exponential")),
    "Activation_gelu": (IMAGE, layers.Activation("gelu")),
    "Activation_hard_sigmoid": (IMAGE, layers.Activation("hard_sigmoid")),
    "Activation_hard_swish": (IMAGE, layers.Activation("hard_swish")),
    "Activation_leaky_relu": (IMAGE, layers.LeakyReLU()),
    "Activation_relu": (IMAGE, layers.ReLU()),
    "Activation_relu6": (IMAGE, layers.ReLU(6.0)),
    "Activation_selu": (IMAGE, layers.Activation("selu")),
    "Activation_sigmoid": (IMAGE, layers.Activation("sigmoid")),
    "Activation_silu": (IMAGE, layers.Activation("silu")),
    "Activation_softmax": (ROW, layers.Activation("softmax")),
    "Activation_softplus": (IMAGE, layers.Activation("softplus")),
    "Activation_tanh": (IMAGE, layers.Activation("tanh")),
    "AveragePooling1D": (SERIES, layers.AveragePooling1D(2)),
    "AveragePooling2D": (IMAGE, layers.AveragePooling2D(2)),
    "BatchNormalization": (IMAGE, layers.BatchNormalization()),
    "Conv1D": (SERIES, layers.Conv1D(4, 3, activation="relu")),
    "Conv1D_causal": (SERIES, layers.Conv1D(4, 3, padding="causal", dilation_rate=2)),
    "Conv1D_dilated": (SERIES, layers.Conv1D(4, 3, dilation_rate=3, activation="relu")),
    "Conv1D_dilated_same": (SERIES, layers.Conv1D(4, 3, dilation_rate=2, padding="same")),
    "Conv1DTranspose": (SERIES, layers.Conv1DTranspose(4, 3, strides=2)),
    "Conv2D": (IMAGE, layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")),
    "Conv2D_dilated": (IMAGE, layers.Conv2D(4, 3, dilation_rate=2)),
    "Conv2D_dilated_same": (IMAGE, layers.Conv2D(4, 3, dilation_rate=(2, 3), padding="same")),
    "Conv2D_groups": (IMAGE, layers.Conv2D(4, 3, groups=2)),
    "Conv2DTranspose": (IMAGE, layers.Conv2DTranspose(4, 3, strides=2, padding="same")),
    "Conv2DTranspose_valid": (IMAGE, layers.Conv2DTranspose(4, 3, strides=2, use_bias=False)),
    "Conv3D": (VOLUME, layers.Conv3D(3, 2)),
    "Cropping1D": (SERIES, layers.Cropping1D((1, 2))),
    "Cropping2D": (IMAGE, layers.Cropping2D(1)),
    "Dense": (ROW, layers.Dense(5)),
    "Dense_of_a_series": (SERIES, layers.Dense(5)),
    "DepthwiseConv1D": (SERIES, layers.DepthwiseConv1D(3)),
    "DepthwiseConv2D": (IMAGE, layers.DepthwiseConv2D(3, padding="same")),
    "DepthwiseConv2D_dilated": (IMAGE, layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")),
    "Flatten": (IMAGE, layers.Flatten()),
    "GlobalAveragePooling1D": (SERIES, layers.GlobalAveragePooling1D()),
    "GlobalAveragePooling2D": (IMAGE, layers.GlobalAveragePooling2D()),
    "GlobalMaxPooling1D": (SERIES, layers.GlobalMaxPooling1D()),
    "GlobalMaxPooling2D": (IMAGE, layers.GlobalMaxPooling2D(keepdims=True)),
    "GroupNormalization": (IMAGE, layers.GroupNormalization(2)),
    "LayerNormalization": (SERIES, layers.LayerNormalization()),
    "MaxPooling1D": (SERIES, layers.MaxPooling1D(3)),
    "MaxPooling2D": (IMAGE, layers.MaxPooling2D(2, padding="same")),
    "Permute": (SERIES, layers.Permute((2, 1))),
    "PReLU": (IMAGE, layers.PReLU(shared_axes=[1, 2])),
    "RepeatVector": (ROW, layers.RepeatVector(3)),
    "Rescaling": (IMAGE, layers.Rescaling(0.5, 0.25)),
    "Reshape": (SERIES, layers.Reshape((6, 6))),
    "Reshape_inferred": (SERIES, layers.Reshape((-1, 2, 3))),
    "SeparableConv1D": (SERIES, layers.SeparableConv1D(4, 3)),
    "SeparableConv2D": (IMAGE, layers.SeparableConv2D(4, 3)),
    "Softmax_of_a_map": (IMAGE, layers.Softmax()),
    "UnitNormalization": (ROW, layers.UnitNormalization()),
    "UpSampling1D": (SERIES, layers.UpSampling1D(2)),
    "UpSampling2D": (IMAGE, layers.UpSampling2D((2, 3))),
    "UpSampling2D_bilinear": (IMAGE, layers.UpSampling2D(2, interpolation="bilinear")),
    "ZeroPadding1D": (SERIES, layers.ZeroPadding1D((1, 2))),
    "ZeroPadding2D": (IMAGE, layers.ZeroPadding2D(1)),
}


def converted(model: keras.Model, kind: str, shape: tuple[int, ...]) -> bytes:
    def samples() -> Iterator[list[np.ndarray]]:
        rng = np.random.default_rng(1)
        for _ in range(16):
            yield [rng.normal(size=(1, *shape)).astype(np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if kind != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "int8":
        converter.representative_dataset = samples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def models() -> Iterator[tuple[str, bytes]]:
    for name, (shape, layer) in LAYERS.items():
        fresh = type(layer).from_config(layer.get_config())
        fresh.build((None, *shape))
        rng = np.random.default_rng(0)
        for weight in fresh.weights:
            spread = np.abs if "variance" in weight.path else np.asarray
            weight.assign(spread(0.4 * rng.normal(size=weight.shape)))
        for batch in (1, None):
            x = keras.Input(shape, batch_size=batch, name="x")
            model = keras.Model(x, fresh(x))
            for kind in ("int8", "dynamic", "float"):
                yield f"{name}-{batch or 'free'}-{kind}.tflite", converted(model, kind, shape)


def main() -> None:
    with zipfile.ZipFile(ARCHIVE, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in models():
            archive.writestr(zipfile.ZipInfo(name, DATE), data, zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
