# SPDX-License-Identifier: Apache-2.0
"""Convolutions in groups and transposed ones: at most one step from onnxruntime and LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qdq_models import Model, differences
from tflite_models import T, gap, save

from tinytailor.compiler import load_model
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

SAME_PADS = {"pads": [1, 1, 1, 1]}


def grouped(model: Model) -> str:
    x = model.input((1, 8, 7, 6))
    y = model.conv(x, (12, 2, 3, 3), group=4, strides=[2, 1], **SAME_PADS)
    return model.quantized(model.node("Relu", [y]), 0.03, -128)


def grouped_dilated(model: Model) -> str:
    x = model.input((1, 6, 9, 8), zero=-30)
    y = model.conv(x, (4, 3, 3, 2), bias=False, group=2, dilations=[2, 3], pads=[1, 0, 2, 1])
    return model.quantized(y, 0.05, 7)


def depthwise_with_multiplier(model: Model) -> str:
    x = model.input((1, 5, 8, 8))
    return model.quantized(model.conv(x, (15, 1, 3, 3), group=5, **SAME_PADS), 0.03, 4)


def fewer_outputs_than_inputs(model: Model) -> str:
    x = model.input((1, 12, 4, 5))
    return model.quantized(model.conv(x, (3, 4, 1, 1), group=3), 0.02, -6)


def grouped_series(model: Model) -> str:
    x = model.input((1, 6, 30))
    y = model.conv(x, (9, 2, 5), group=3, strides=[2], pads=[2, 1], dilations=[2])
    return model.quantized(y, 0.04, 1)


GROUPED = (
    grouped,
    grouped_dilated,
    depthwise_with_multiplier,
    fewer_outputs_than_inputs,
    grouped_series,
)


@pytest.mark.parametrize("build", GROUPED, ids=lambda build: build.__name__)
def test_groups_are_within_one_step_of_onnxruntime(build, tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", build(model))
    graph = load_model(path)
    kinds = [node.op.kind for node in graph.nodes]
    assert kinds == ["grouped_conv2d"]
    count, largest, elements = differences(path, graph)
    print(f"{build.__name__}: {count} of {elements} elements differ, at most by {largest}")
    assert largest <= 1
    assert count <= 0.005 * elements


def transposed(weight: tuple[int, ...], shape: tuple[int, ...] = (1, 6, 5, 4), **attributes):
    """ConvTranspose with weights (in channels, out channels of a group, ...)."""

    def build(model: Model) -> str:
        x = model.input(shape)
        w, scale = model.weights(weight, per_channel=False)
        channels = weight[1] * int(attributes.get("group", 1))
        inputs = [x, w, model.bias(x, scale, channels)]
        return model.quantized(model.node("ConvTranspose", inputs, **attributes), 0.05, -9)

    return build


def transposed_per_channel(groups: int):
    """As quantizers write it: one scale for each output channel of a group, along axis 1."""

    def build(model: Model) -> str:
        x = model.input((1, 6, 5, 4))
        w = model.constant("w", model.rng.integers(-127, 128, (6, 4, 3, 3)).astype(np.int8))
        s = model.constant("s", model.rng.uniform(0.004, 0.012, 4).astype(np.float32))
        z = model.constant("z", np.zeros(4, np.int8))
        b = model.constant("b", model.rng.normal(size=4 * groups).astype(np.float32))
        weight = model.node("DequantizeLinear", [w, s, z], axis=1)
        y = model.node("ConvTranspose", [x, weight, b], strides=[2, 2], group=groups)
        return model.quantized(y, 0.05, -9)

    return build


TRANSPOSED = {
    "scale per channel": transposed_per_channel(1),
    "scale per channel, groups": transposed_per_channel(3),
    "stride 2": transposed((6, 4, 4, 4), strides=[2, 2], pads=[1, 1, 1, 1]),
    "odd kernel": transposed((6, 5, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1]),
    "output padding": transposed(
        (6, 5, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]
    ),
    "uneven": transposed((6, 3, 2, 5), strides=[3, 2], pads=[0, 1, 1, 2], output_padding=[2, 0]),
    "stride 1": transposed((6, 4, 3, 3), pads=[1, 0, 2, 1]),
    "stride 1 with dilation": transposed((6, 4, 3, 2), dilations=[2, 3], pads=[1, 0, 2, 1]),
    "stride 1 cut": transposed((6, 4, 1, 1), pads=[1, 0, 0, 1]),
    "dilation": transposed((6, 4, 3, 3), strides=[2, 3], dilations=[2, 2]),
    "groups": transposed((6, 2, 4, 4), strides=[2, 2], pads=[1, 1, 1, 1], group=3),
    "depthwise": transposed((6, 1, 4, 4), strides=[2, 2], pads=[1, 1, 1, 1], group=6),
    "depthwise, stride 1": transposed((6, 1, 3, 3), pads=[1, 1, 1, 1], group=6),
    "same upper": transposed((6, 4, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER"),
    "output shape": transposed((6, 4, 3, 3), strides=[2, 2], output_shape=[10, 8]),
    "series": transposed((6, 4, 4), (1, 6, 15), strides=[2], pads=[1, 1]),
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolutions_are_within_one_step_of_onnxruntime(
    name: str, tmp_path: Path
) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", TRANSPOSED[name](model))
    graph = load_model(path)
    count, largest, elements = differences(path, graph)
    kind = graph.nodes[0].op.kind
    print(f"{name}: {kind}, {count} of {elements} elements differ, at most by {largest}")
    assert (kind == "conv_transpose2d") == (name == "stride 1 cut" or "stride 1" not in name)
    assert largest <= 1
    assert count <= 0.005 * elements


def test_a_kernel_with_gaps_that_fit_no_memory_is_refused(tmp_path: Path) -> None:
    model = Model()
    attributes = {"strides": [2, 2], "dilations": [50000] * 2, "pads": [50000] * 4}
    path = model.save(tmp_path / "model.onnx", transposed((6, 4, 3, 3), **attributes)(model))
    with pytest.raises(InputError, match="100001 x 100001 pixels, which fits no device"):
        load_model(path)


def int8(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).integers(-127, 128, shape).astype(np.int8)


def int32(size: int) -> np.ndarray:
    return np.random.default_rng(6).integers(-3000, 3000, size).astype(np.int32)


SIZE = np.array([1, 9, 8, 5], np.int32)
STRIDES = {"strideH": 2, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
TFLITE = {
    "multiplier": (
        "DEPTHWISE_CONV_2D",
        [T((1, 9, 8, 3)), T((1, 3, 3, 6), 0.01, 0, int8(1, 3, 3, 6)), T((6,), data=int32(6))],
        T((1, 5, 8, 6), 0.03, -7),
        "DepthwiseConv2DOptions",
        {"depthMultiplier": 2, **STRIDES},
        "grouped_conv2d",
    ),
    "one channel, many outputs": (
        "DEPTHWISE_CONV_2D",
        [T((1, 9, 8, 1)), T((1, 4, 3, 8), 0.01, 0, int8(1, 4, 3, 8)), T((8,), data=int32(8))],
        T((1, 5, 8, 8), 0.03, -7),
        "DepthwiseConv2DOptions",
        {"depthMultiplier": 8, "fusedActivationFunction": 1, **STRIDES},
        "conv2d",
    ),
    "groups": (
        "CONV_2D",
        [T((1, 9, 8, 6)), T((4, 3, 3, 3), 0.01, 0, int8(4, 3, 3, 3)), T((4,), data=int32(4))],
        T((1, 5, 8, 4), 0.04, -7),
        "Conv2DOptions",
        STRIDES,
        "grouped_conv2d",
    ),
    "transposed": (
        "TRANSPOSE_CONV",
        [T((4,), data=SIZE), T((5, 3, 3, 6), 0.01, 0, int8(5, 3, 3, 6)), T((1, 5, 4, 6))],
        T((1, 9, 8, 5), 0.04, -7),
        "TransposeConvOptions",
        {"strideH": 2, "strideW": 2},
        "conv_transpose2d",
    ),
    "transposed without a border": (
        "TRANSPOSE_CONV",
        [T((4,), data=SIZE), T((5, 3, 2, 6), 0.01, 0, int8(5, 3, 2, 6)), T((1, 4, 4, 6))],
        T((1, 9, 8, 5), 0.04, -7),
        "TransposeConvOptions",
        {"strideH": 2, "strideW": 2, "padding": 1},
        "conv_transpose2d",
    ),
}


@pytest.mark.parametrize("name", TFLITE)
def test_single_operators_are_within_one_step_of_litert(name: str, tmp_path: Path) -> None:
    operator, inputs, output, options, fields, kind = TFLITE[name]
    path = save(tmp_path / "model.tflite", operator, inputs, output, options, **fields)
    graph = load_model(path)
    assert [node.op.kind for node in graph.nodes] == [kind]
    distances = gap(path, graph)
    count = np.count_nonzero(distances)
    print(f"{name}: {count} of {distances.size} elements differ, at most by {distances.max()}")
    assert distances.max() <= 1
    assert count <= 0.005 * distances.size
