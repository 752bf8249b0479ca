# SPDX-License-Identifier: Apache-2.0
"""Quantized TFLite networks as TensorFlow's converter writes them: one function each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tflite_file import File, Tensor


def person_detection(f: File, x: Tensor) -> Tensor:
    """MobileNetV1 0.25 on 96 x 96 grey pixels, narrowed; a convolution as classifier."""
    x = f.conv(x, 8, stride=2, act="RELU6")
    for channels, stride in ((16, 1), (16, 2), (24, 1), (32, 2), (48, 2)):
        x = f.depthwise(x, stride=stride, act="RELU6")
        x = f.conv(x, channels, (1, 1), act="RELU6")
    x = f.pool(x, "AVERAGE", x.shape[1:3], 2)
    x = f.conv(x, 2, (1, 1), padding="SAME", act="NONE")
    return f.softmax(f.reshape(x, 2))


def micro_speech(f: File, x: Tensor) -> Tensor:
    """tiny_conv: a depthwise convolution of one channel with multiplier 8."""
    x = f.reshape(x, 49, 40, 1)
    x = f.depthwise(x, 8, (10, 8), 2)
    return f.softmax(f.dense(x, 4))


def autoencoder(f: File, x: Tensor) -> Tensor:
    for outputs in (128, 64, 8, 64, 128):
        x = f.dense(x, outputs, "RELU")
    return f.dense(x, 640)


def mobilenet_v2(f: File, x: Tensor) -> Tensor:
    """Inverted residuals with ADD, and MEAN before the classifier."""
    x = f.conv(x, 8, stride=2, act="RELU6")
    for expand, channels, stride in ((3, 8, 1), (3, 12, 2), (4, 12, 1)):
        y = f.conv(x, x.shape[3] * expand, (1, 1), act="RELU6")
        y = f.depthwise(y, stride=stride, act="RELU6")
        y = f.conv(y, channels, (1, 1), act="NONE")
        x = f.add_tensors(x, y) if y.shape == x.shape else y
    return f.dense(f.mean(x), 5)


def activations(f: File, x: Tensor) -> Tensor:
    """Every fused activation, both paddings, dilation."""
    x = f.conv(x, 6, (3, 3), 1, "VALID", "RELU_N1_TO_1")
    x = f.conv(x, 6, (3, 3), 1, "SAME", "NONE", dilation=2)
    x = f.depthwise(x, 2, (5, 5), 2, "VALID", "RELU_N1_TO_1")
    x = f.pool(x, "MAX", (3, 3), 2, "SAME")
    x = f.conv(x, 8, (2, 2), 1, "VALID", "RELU6")
    return f.unary(f.dense(x, 3, "RELU_N1_TO_1"), "LOGISTIC")


def resnet(f: File, x: Tensor) -> Tensor:
    x = f.conv(x, 8)
    for channels, stride in ((8, 1), (16, 2)):
        y = f.conv(f.conv(x, channels, stride=stride), channels, act="NONE")
        cut = x if stride == 1 else f.conv(x, channels, (1, 1), stride, act="NONE")
        x = f.add_tensors(y, cut, "RELU")
    x = f.pool(x, "AVERAGE", x.shape[1:3], 1)
    return f.softmax(f.dense(f.reshape(x, 16), 10))


def squeeze_excite(f: File, x: Tensor) -> Tensor:
    """MobileNetV3: hard swish, a gate of sigmoid, concatenation."""
    x = f.unary(f.conv(x, 8, stride=2, act="NONE"), "HARD_SWISH")
    gate = f.conv(f.mean(x, keep=True), 4, (1, 1))
    gate = f.unary(f.conv(gate, 8, (1, 1), act="NONE"), "LOGISTIC")
    x = f.multiply(x, gate)
    x = f.concat(f.conv(x, 4, (1, 1)), f.conv(x, 6), f.pool(x, "MAX", (3, 3), 1, "SAME"))
    return f.unary(f.dense(x, 3), "TANH")


def one_channel(f: File, x: Tensor) -> Tensor:
    """Layers of one channel, whose single scale the converter writes as that of the last axis."""
    x = f.depthwise(x, 1, (5, 3), 2, act="NONE")
    x = f.conv(x, 1, (3, 3), act="RELU6")
    return f.unary(f.dense(f.depthwise(x, 4), 1), "LOGISTIC")


Network = tuple[Callable[[File, Tensor], Tensor], tuple[int, ...]]
NETWORKS: dict[str, Network] = {
    "person_detection": (person_detection, (48, 48, 1)),
    "micro_speech": (micro_speech, (1960,)),
    "autoencoder": (autoencoder, (640,)),
    "mobilenet_v2": (mobilenet_v2, (24, 24, 3)),
    "activations": (activations, (15, 17, 2)),
    "resnet": (resnet, (12, 12, 3)),
    "one_channel": (one_channel, (12, 10, 1)),
    "squeeze_excite": (squeeze_excite, (16, 16, 3)),
}
FORMS = ("per channel", "per tensor", "float border", "uint8")


def built(name: str, form: str, folder: Path) -> Path:
    build, shape = NETWORKS[name]
    f = File(7, "uint8" if form == "uint8" else "int8", form != "per tensor")
    x = f.float_input(*shape) if form == "float border" else f.input(*shape)
    y = build(f, x)
    outputs = f.float_output(y) if form == "float border" else y
    return f.save(folder / f"{name}.{form.replace(' ', '_')}.tflite", outputs)
