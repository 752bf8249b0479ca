# SPDX-License-Identifier: Apache-2.0
"""Small sound model files to damage: between them they hold most supported operators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qdq_models import Model
from tflite_models import T, save


def onnx_files(folder: Path) -> None:
    _convolutions(folder / "convolutions.onnx")
    _elementwise(folder / "elementwise.onnx")
    _moves(folder / "moves.onnx")


def _convolutions(path: Path) -> None:
    m = Model()
    x = m.input((1, 4, 6, 6))
    a = m.quantized(m.conv(x, (4, 4, 3, 3), pads=[1, 1, 1, 1]), 0.1)
    b = m.quantized(m.node("Relu", [m.conv(a, (4, 1, 3, 3), group=4, strides=[2, 2])]), 0.1)
    c = m.quantized(m.node("GlobalAveragePool", [b]), 0.1)
    flat = m.node("Flatten", [c])
    m.scales[flat] = m.scales[c]
    y = m.quantized(m.gemm(flat, (3, 4)), 0.1)
    m.save(path, m.quantized(m.node("Softmax", [y], axis=1), 1 / 256, -128))


def _elementwise(path: Path) -> None:
    m = Model()
    x = m.input((1, 3, 5, 5))
    a = m.quantized(m.node("Sigmoid", [x]), 1 / 256, -128)
    b = m.quantized(m.node("Mul", [x, a]), 0.02)
    c = m.quantized(m.node("Add", [x, b]), 0.04)
    d = m.quantized(m.node("Sub", [c, a]), 0.04)
    e = m.quantized(m.node("LeakyRelu", [d], alpha=0.1), 0.04)
    low, high = (m.constant(n, np.float32(v)) for n, v in (("low", 0.0), ("high", 6.0)))
    m.save(path, m.quantized(m.node("Clip", [e, low, high]), 0.03))


def _moves(path: Path) -> None:
    m = Model()
    x = m.input((1, 2, 6, 4))
    a = m.quantized(m.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2]), 0.02, 3)
    b = m.quantized(m.node("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2]), 0.02, 3)
    c = m.quantized(m.node("Concat", [a, b], axis=1), 0.02, 3)
    pads = m.constant("pads", np.array([0, 0, 1, 1, 0, 0, 1, 0], np.int64))
    d = m.quantized(m.node("Pad", [c, pads]), 0.02, 3)
    shape = m.constant("shape", np.array([1, -1], np.int64))
    m.save(path, m.quantized(m.node("Reshape", [d, shape]), 0.02, 3))


def tflite_files(folder: Path) -> None:
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> T:
        return T(shape, 0.01, 0, rng.integers(-127, 128, shape).astype(np.int8))

    def biases(count: int) -> T:
        return T((count,), 0.0002, 0, rng.integers(-3000, 3000, count).astype(np.int32))

    x, wide, pads = T((1, 6, 5, 4)), T((1, 12)), np.array([[0, 0], [1, 1], [2, 0], [0, 0]])
    stride = {"padding": 0, "strideH": 1, "strideW": 1}
    window = {"dilationHFactor": 1, "dilationWFactor": 1, **stride}
    pool = {"padding": 1, "strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 2}

    def one(operator: str, inputs: list[T], output: T, options: str = "", **fields: object) -> None:
        save(folder / f"{operator.lower()}.tflite", operator, inputs, output, options, **fields)

    filters = [x, weights(3, 3, 3, 4), biases(3)]
    one("CONV_2D", filters, T((1, 6, 5, 3), 0.2), "Conv2DOptions", **window)
    filters = [x, weights(1, 3, 3, 4), biases(4)]
    options = {"depthMultiplier": 1, **window}
    one("DEPTHWISE_CONV_2D", filters, T(x.shape, 0.1), "DepthwiseConv2DOptions", **options)
    layer = [wide, weights(5, 12), biases(5)]
    one("FULLY_CONNECTED", layer, T((1, 5), 0.05), "FullyConnectedOptions")
    one("ADD", [x, x], T(x.shape, 0.05), "AddOptions")
    one("AVERAGE_POOL_2D", [x], T((1, 3, 2, 4)), "Pool2DOptions", **pool)
    one("SOFTMAX", [T((1, 9), 0.1)], T((1, 9), 1 / 256, -128), "SoftmaxOptions", beta=1.0)
    one("CONCATENATION", [x, x], T((1, 6, 5, 8)), "ConcatenationOptions", axis=3)
    one("PAD", [x, T((4, 2), data=pads.astype(np.int32))], T((1, 8, 7, 4)))
