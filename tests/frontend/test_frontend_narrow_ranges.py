# SPDX-License-Identifier: Apache-2.0
"""Integers that are clipped between QuantizeLinear and DequantizeLinear, as brevitas exports
weights in a narrow range and activations of fewer than 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from qdq_models import Model, differences

from tinytailor.compiler import load_model

pytestmark = [pytest.mark.tvm]

SHAPE = (1, 3, 6, 6)


def scalar(model: Model, dtype: type, value: float) -> str:
    return model.constant(f"c{len(model.constants)}", dtype(value))


def clipped(
    model: Model, x: str, scale: float, zero: int, bounds: tuple[int, int], dtype: type
) -> str:
    s, z = scalar(model, np.float32, scale), scalar(model, dtype, zero)
    y = model.node("QuantizeLinear", [x, s, z])
    y = model.node("Clip", [y, *(scalar(model, dtype, bound) for bound in bounds)])
    y = model.node("DequantizeLinear", [y, s, z])
    model.scales[y] = scale
    return y


def weights(model: Model, stored: bool) -> str:
    """Per channel, as integers in the file or as real numbers that are quantized there."""
    real = model.rng.normal(0, 0.2, (4, 3, 3, 3)).astype(np.float32)
    scale = (np.abs(real).reshape(4, -1).max(axis=1) / 127).astype(np.float32)
    s, z = model.constant("w_scale", scale), model.constant("w_zero", np.zeros(4, np.int8))
    if stored:
        steps = np.rint(real / scale.reshape(-1, 1, 1, 1))
        integers = model.constant("w", steps.astype(np.int8))
    else:
        integers = model.node("QuantizeLinear", [model.constant("w", real), s, z], axis=0)
    bounds = (scalar(model, np.int8, bound) for bound in (-127, 127))
    return model.node("DequantizeLinear", [model.node("Clip", [integers, *bounds]), s, z], axis=0)


@pytest.mark.parametrize("stored", [True, False], ids=["integers", "reals"])
@pytest.mark.parametrize(
    ("dtype", "zero", "bounds"),
    [
        (np.int8, 0, (-8, 7)),
        (np.uint8, 0, (0, 15)),
        (np.int8, -128, (-128, -113)),
        (np.uint8, 0, (0, 255)),
        (np.int8, 3, (-127, 127)),
    ],
    ids=str,
)
def test_clipped_integers_equal_those_of_onnxruntime(
    dtype: type, zero: int, bounds: tuple[int, int], stored: bool, tmp_path: Path
) -> None:
    model = Model()
    model.inputs.append(onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, SHAPE))
    x = clipped(model, "x", 0.02, 3, (-127, 127), np.int8)
    real = model.node("Relu", [model.node("Conv", [x, weights(model, stored)])])
    y = clipped(model, real, 0.06, zero, bounds, dtype)
    y = model.node("MaxPool", [y], kernel_shape=[2, 2], strides=[2, 2])
    path = model.save(tmp_path / "model.onnx", y)
    graph = load_model(path)
    assert [node.op.kind for node in graph.nodes] == ["lookup", "conv2d", "max_pool2d"]
    assert differences(path, graph)[:2] == (0, 0)


def test_integers_that_are_also_read_unclipped_are_clipped_by_a_table(tmp_path: Path) -> None:
    model = Model()
    x = model.conv(model.input(SHAPE), (4, 3, 3, 3))
    s, z = scalar(model, np.float32, 0.05), scalar(model, np.int8, 0)
    integers = model.node("QuantizeLinear", [x, s, z])
    bounds = (scalar(model, np.int8, bound) for bound in (-8, 7))
    parts = [integers, model.node("Clip", [integers, *bounds])]
    a, b = (model.node("DequantizeLinear", [part, s, z]) for part in parts)
    path = model.save(
        tmp_path / "model.onnx", model.quantized(model.node("Add", [a, b]), 0.0733, 3)
    )
    graph = load_model(path)
    assert [node.op.kind for node in graph.nodes] == ["conv2d", "lookup", "add"]
    assert differences(path, graph)[1] <= 1
