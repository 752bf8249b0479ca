# SPDX-License-Identifier: Apache-2.0
"""Convolutions in groups against onnxruntime and LiteRT: at most one step apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qdq_models import Model, differences
from tflite_models import T, gap, save

from tinytailor.compiler.frontend import load_model

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
    turned = ["reshape", "transpose"] if build is grouped_series else []  # (1, C, T) as the model
    assert kinds == ["grouped_conv2d", *turned]
    count, largest, elements = differences(path, graph)
    print(f"{build.__name__}: {count} of {elements} elements differ, at most by {largest}")
    assert largest <= 1
    assert count <= 0.005 * elements


def int8(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).integers(-127, 128, shape).astype(np.int8)


def int32(size: int) -> np.ndarray:
    return np.random.default_rng(6).integers(-3000, 3000, size).astype(np.int32)


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
}


@pytest.mark.parametrize("name", TFLITE)
def test_groups_are_within_one_step_of_litert(name: str, tmp_path: Path) -> None:
    operator, inputs, output, options, fields, kind = TFLITE[name]
    path = save(tmp_path / "model.tflite", operator, inputs, output, options, **fields)
    graph = load_model(path)
    assert [node.op.kind for node in graph.nodes] == [kind]
    distances = gap(path, graph)
    count = np.count_nonzero(distances)
    print(f"{name}: {count} of {distances.size} elements differ, at most by {distances.max()}")
    assert distances.max() <= 1
    assert count <= 0.005 * distances.size
