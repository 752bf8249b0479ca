# SPDX-License-Identifier: Apache-2.0
"""QDQ ONNX models against onnxruntime: at most one step apart, and rarely that.

Averages meet exact halves often (one in 2n for a window of n): onnxruntime rounds them to even,
AveragePool2d away from zero, as TFLite does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from qdq_models import Model, differences, execute

from tinytailor.compiler import load_model
from tinytailor.compiler.ops.square_deform_dw import SquareDeformDW
from tinytailor.compiler.references import onnx_session
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

SAME = {"pads": [1, 1, 1, 1]}


def conv_relu(model: Model) -> str:
    x = model.input((1, 3, 9, 8))
    y = model.node("Relu", [model.conv(x, (5, 3, 3, 3), strides=[2, 1], **SAME)])
    return model.quantized(y, 0.05, -128)


def dilated_without_bias(model: Model) -> str:
    x = model.input((1, 4, 11, 7), zero=-20)
    y = model.conv(x, (6, 4, 3, 2), bias=False, dilations=[2, 3], pads=[1, 0, 2, 1])
    return model.quantized(y, 0.06, 5)


def pointwise_clipped(model: Model) -> str:
    x = model.input((1, 8, 5, 5))
    low, high = model.constant("low", np.float32(0)), model.constant("high", np.float32(6))
    y = model.node("Clip", [model.conv(x, (4, 8, 1, 1)), low, high])
    return model.quantized(y, 0.03, -128)


def same_upper(model: Model) -> str:
    x = model.input((1, 3, 8, 7))
    y = model.conv(x, (4, 3, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER")
    return model.quantized(y, 0.06)


def depthwise(model: Model) -> str:
    x = model.input((1, 6, 8, 8))
    y = model.conv(x, (6, 1, 3, 3), group=6, strides=[2, 2], **SAME)
    return model.quantized(model.node("Relu", [y]), 0.03, -128)


def residual(model: Model) -> str:
    x = model.input((1, 4, 6, 6))
    a = model.quantized(model.node("Relu", [model.conv(x, (4, 4, 3, 3), **SAME)]), 0.05, -128)
    b = model.quantized(model.conv(a, (4, 4, 3, 3), **SAME), 0.1, 7)
    return model.quantized(model.node("Relu", [model.node("Add", [a, b])]), 0.09, -128)


def global_pool(model: Model) -> str:
    x = model.input((1, 5, 7, 6))
    a = model.quantized(model.conv(x, (4, 5, 3, 3)), 0.05, 4)
    return model.quantized(model.node("GlobalAveragePool", [a]), 0.05, 4)


def global_pool_with_its_own_scale(model: Model) -> str:
    x = model.input((1, 5, 7, 6))
    return model.quantized(model.node("GlobalAveragePool", [x]), 0.003, -5)


def mean_of_rows(model: Model) -> str:
    x = model.input((1, 5, 7, 6))
    y = model.node("ReduceMean", [x], axes=[2, 3], keepdims=0)
    return model.quantized(y, 0.02, 3)


def average_pool(model: Model) -> str:
    x = model.input((1, 3, 8, 8))
    y = model.node("AveragePool", [x], kernel_shape=[2, 3], strides=[2, 2])
    return model.quantized(y, 0.02, 3)


def average_pool_with_a_border(model: Model) -> str:
    x = model.input((1, 3, 9, 8))
    y = model.node("AveragePool", [x], kernel_shape=[3, 3], strides=[2, 1], pads=[1, 1, 1, 0])
    return model.quantized(y, 0.02, 3)


def max_pool(model: Model) -> str:
    x = model.input((1, 3, 9, 8))
    y = model.node("MaxPool", [x], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])
    return model.quantized(model.node("Relu", [y]), 0.02, 3)


def max_pool_same_lower(model: Model) -> str:
    x = model.input((1, 3, 9, 8))
    y = model.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER")
    return model.quantized(y, 0.02, 3)


def flatten_gemm(model: Model) -> str:
    x = model.input((1, 3, 5, 4))
    a = model.quantized(model.conv(x, (4, 3, 3, 3)), 0.06, -3)
    flat = model.node("Flatten", [a])
    return model.quantized(model.gemm(flat_scaled(model, flat, a), (10, 24)), 0.3, 2)


def flat_scaled(model: Model, flat: str, source: str) -> str:
    model.scales[flat] = model.scales[source]
    return flat


def series(model: Model) -> str:
    x = model.input((1, 6, 30))
    a = model.conv(x, (8, 6, 5), strides=[2], pads=[2, 2], dilations=[2])
    a = model.quantized(model.node("Relu", [a]), 0.06, -128)
    b = model.quantized(model.conv(a, (8, 1, 3), group=8, pads=[1, 1]), 0.1, 9)
    c = model.quantized(model.node("GlobalAveragePool", [b]), 0.1, 9)
    axes = model.constant("axes", np.array([2], np.int64))
    row = flat_scaled(model, model.node("Squeeze", [c, axes]), c)
    return model.quantized(model.gemm(row, (4, 8)), 0.05, 1)


def softmax(model: Model) -> str:
    x = model.input((1, 12), scale=0.05)
    a = model.quantized(model.gemm(x, (6, 12)), 0.06, 10)
    return model.quantized(model.node("Softmax", [a], axis=1), 1 / 256, -128)


def quantized_weights_in_float(model: Model) -> str:
    """Training exports: float weights between QuantizeLinear and DequantizeLinear."""
    x = model.input((1, 3, 6, 6))
    w = model.constant("w", model.rng.normal(size=(4, 3, 3, 3)).astype(np.float32))
    s = model.constant("s", np.full(4, 0.02, np.float32))
    z = model.constant("z", np.zeros(4, np.int8))
    q = model.node("QuantizeLinear", [w, s, z], axis=0)
    b = model.constant("b", model.rng.normal(size=4).astype(np.float32))
    dequantized = model.node("DequantizeLinear", [q, s, z], axis=0)
    return model.quantized(model.node("Conv", [x, dequantized, b]), 0.1, 3)


def relu_after_quantization(model: Model) -> str:
    x = model.input((1, 3, 6, 6))
    a = model.quantized(model.conv(x, (4, 3, 3, 3)), 0.1, -20)
    return model.quantized(model.node("Relu", [a]), 0.1, -20)


def channels_last_input(model: Model) -> str:
    """What tf2onnx writes: the input is NHWC and transposed at once."""
    x = model.input((1, 6, 5, 3))
    moved = model.node("Transpose", [x], perm=[0, 3, 1, 2])
    model.scales[moved] = model.scales[x]
    return model.quantized(model.conv(moved, (4, 3, 3, 3)), 0.06, -3)


MODELS = (
    conv_relu,
    dilated_without_bias,
    pointwise_clipped,
    same_upper,
    depthwise,
    residual,
    global_pool,
    global_pool_with_its_own_scale,
    mean_of_rows,
    average_pool,
    average_pool_with_a_border,
    max_pool,
    max_pool_same_lower,
    flatten_gemm,
    series,
    softmax,
    quantized_weights_in_float,
    relu_after_quantization,
)
AVERAGES = (
    global_pool,
    global_pool_with_its_own_scale,
    mean_of_rows,
    average_pool,
    average_pool_with_a_border,
)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_outputs_are_within_one_step_of_onnxruntime(build, dtype, tmp_path: Path) -> None:
    model = Model(dtype=dtype)
    path = model.save(tmp_path / "model.onnx", build(model))
    count, largest, elements = differences(path, load_model(path))
    print(f"{build.__name__} {dtype}: {count} of {elements} elements differ, at most by {largest}")
    assert largest <= 1
    assert count <= (0.15 if build in AVERAGES else 0.005) * elements


def test_an_input_that_is_transposed_at_once_keeps_its_own_layout(tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", channels_last_input(model))
    graph = load_model(path)
    source, result = (graph.tensors[name] for name in (graph.inputs[0], graph.outputs[0]))
    assert source.shape == (1, 6, 5, 3)
    x = np.random.default_rng(2).integers(-128, 128, source.shape).astype(np.int8)
    real = (x.astype(np.float32) - source.zero_point) * np.float32(source.scale)
    session = onnx_session(path)
    y = session.run(None, {"x": real})[0].transpose(0, 2, 3, 1)
    expected = np.rint(y / np.float32(result.scale)) + result.zero_point
    np.testing.assert_array_equal(execute(graph, x), expected)


def test_names_are_unique_c_identifiers_taken_from_the_model(tmp_path: Path) -> None:
    model = Model()
    x = model.input((1, 2, 4, 4))
    a = model.quantized(model.conv(x, (2, 2, 1, 1), name="/block 1/conv"), 0.1)
    b = model.quantized(model.conv(a, (2, 2, 1, 1), name="/block-1/conv"), 0.1)
    c = model.quantized(model.conv(b, (2, 2, 1, 1), name="7"), 0.1)
    graph = load_model(model.save(tmp_path / "my net.onnx", c))
    assert graph.name == "my_net"
    assert [node.name for node in graph.nodes] == ["block_1_conv", "block_1_conv_2", "conv_7"]


def test_a_dynamic_batch_becomes_one(tmp_path: Path) -> None:
    model = Model()
    x = model.input(("batch", 3, 4, 4))
    y = model.quantized(model.conv(x, (2, 3, 1, 1)), 0.1)
    graph = load_model(model.save(tmp_path / "model.onnx", y))
    assert graph.tensors[graph.inputs[0]].shape == (1, 4, 4, 3)


def square_deform(model: Model, channels: int = 4) -> str:
    x = model.input((1, channels, 9, 10), scale=0.02, zero=5)
    arrays = {"offset": (1, channels), "weight": (channels, 1, 3, 3)}
    offset, offset_scale = model.weights(arrays["offset"], per_channel=False)
    flat = model.constant("flat", np.array([channels], np.int64))
    weight, scale = model.weights(arrays["weight"])
    y = "deform_out"
    node = helper.make_node(
        "SquareDeformDW",
        [
            x,
            model.node("Reshape", [offset, flat]),
            model.bias(x, offset_scale, 1),
            weight,
            model.bias(x, scale, channels),
        ],
        [y],
        "deform",
        domain="tinytailor",
    )
    model.nodes.append(node)
    return model.quantized(y, 0.06, 4)


def float_square_deform(x: np.ndarray, model: Model) -> np.ndarray:
    """The documented real meaning, on (1, C, H, W) with zeros outside the map."""
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.constants}

    def real(prefix: str) -> list[np.ndarray]:
        names = [n for n in constants if n.startswith(prefix) and n.count("_") == 1]
        scales = (constants[f"{n}_scale"] for n in names)
        return [
            constants[n] * s.reshape(s.shape + (1,) * (constants[n].ndim - s.ndim))
            for n, s in zip(names, scales, strict=True)
        ]

    (offset_weight, weight), (offset_bias, bias) = real("w_"), real("b_")
    offset = np.einsum("chw,c->hw", x[0], offset_weight[0]) + offset_bias[0]
    d = np.clip(np.floor(offset + 0.5), 0, 7).astype(int)
    height, width = x.shape[2:]
    y = np.tile(bias[:, None, None], (1, height, width)).astype(np.float64)
    for h, w in np.ndindex(height, width):
        for i, j in np.ndindex(3, 3):
            r, c = h + (i - 1) * d[h, w], w + (j - 1) * d[h, w]
            if 0 <= r < height and 0 <= c < width:
                y[:, h, w] += x[0, :, r, c] * weight[:, 0, i, j]
    return y


def test_square_deform_dw_is_imported_with_its_documented_meaning(tmp_path: Path) -> None:
    model = Model(seed=3)
    path = model.save(tmp_path / "model.onnx", square_deform(model), domains=("tinytailor",))
    graph = load_model(path)
    (node,) = graph.nodes
    assert isinstance(node.op, SquareDeformDW)
    source, result = (graph.tensors[name] for name in (graph.inputs[0], graph.outputs[0]))
    x = np.random.default_rng(2).integers(-128, 128, source.shape).astype(np.int8)
    real = (x.astype(np.float64) - source.zero_point) * np.float32(source.scale)
    y = float_square_deform(real.transpose(0, 3, 1, 2), model).transpose(1, 2, 0)
    expected = np.clip(np.rint(y / result.scale) + result.zero_point, -128, 127)
    gap = np.abs(execute(graph, x)[0] - expected)
    assert len(np.unique(node.op.dilations(x, node.constants))) > 3
    assert gap.max() <= 1
    assert np.count_nonzero(gap) <= 0.01 * gap.size


def test_a_bias_that_overflows_the_accumulator_names_its_layer(tmp_path: Path) -> None:
    model = Model()
    x = model.input((1, 2, 4, 4))
    w = model.weights((2, 2, 1, 1))[0]
    bias = model.constant("bias", np.full(2, 1e8, np.float32))
    y = model.node("Conv", [x, w, bias], "heavy")
    path = model.save(tmp_path / "model.onnx", model.quantized(y, 0.1))
    with pytest.raises(InputError, match=r"layer heavy: .*32 bits"):
        load_model(path)
