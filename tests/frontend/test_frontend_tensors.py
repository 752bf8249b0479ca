# SPDX-License-Identifier: Apache-2.0
"""Products, differences, concatenation and padding against onnxruntime.

The scales leave few exact halves: onnxruntime rounds them to even, the integer operators up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qdq_models import Model, differences, execute

from tinytailor.compiler import load_model
from tinytailor.compiler.references import onnx_session

pytestmark = [pytest.mark.tvm]

SHAPE = (1, 4, 7, 6)
SAME = {"pads": [1, 1, 1, 1]}


def branches(model: Model, channels: int = 4) -> tuple[str, str]:
    x = model.input(SHAPE)
    a = model.quantized(model.conv(x, (4, 4, 3, 3), **SAME), 0.08, -9)
    return a, model.quantized(model.conv(x, (channels, 4, 3, 3), **SAME), 0.05, 20)


def product(model: Model) -> str:
    y = model.node("Relu", [model.node("Mul", [*branches(model)])])
    return model.quantized(y, 0.1, -128)


def product_of_large_numbers(model: Model) -> str:
    a = model.input(SHAPE, 2.0, 3)
    b = model.quantized(model.conv(a, (4, 4, 1, 1)), 9.0, 3)
    return model.quantized(model.node("Mul", [a, b]), 9.5, 3)


def difference(model: Model) -> str:
    return model.quantized(model.node("Sub", [*branches(model)]), 0.0937, 6)


def channel_attention(model: Model) -> str:
    x = model.input(SHAPE)
    a = model.quantized(model.node("GlobalAveragePool", [x]), 0.0037, 3)
    b = model.quantized(model.conv(a, (4, 4, 1, 1)), 0.03, 5)
    gate = model.quantized(model.node("Sigmoid", [b]), 1 / 256, -128)
    return model.quantized(model.node("Mul", [gate, x]), 0.0153, 3)


def joined_channels(model: Model) -> str:
    a, b = branches(model, channels=3)
    return model.quantized(model.node("Concat", [a, b, a], axis=1), 0.08, -9)


def joined_rows(model: Model) -> str:
    return model.quantized(model.node("Concat", [*branches(model)], axis=-2), 0.09, -9)


def joined_features(model: Model) -> str:
    x = model.input((1, 12), 0.05)
    a = model.quantized(model.gemm(x, (6, 12)), 0.06, 10)
    b = model.quantized(model.gemm(x, (5, 12)), 0.07, 1)
    c = model.quantized(model.node("Concat", [a, b], axis=1), 0.07, 1)
    return model.quantized(model.gemm(c, (4, 11)), 0.1, 1)


def joined_series(model: Model) -> str:
    x = model.input((1, 3, 10))
    a = model.quantized(model.conv(x, (4, 3, 3), pads=[1, 1]), 0.06, -3)
    y = model.quantized(model.node("Concat", [x, a], axis=1), 0.06, -3)
    return model.quantized(model.conv(y, (2, 7, 3)), 0.1, 4)


def padded(model: Model) -> str:
    pads = model.constant("pads", np.array([0, 2, 1, 0, 0, 0, 2, 3], np.int64))
    x = model.input(SHAPE)
    return model.quantized(model.node("Pad", [x, pads]), 0.02, 3)


def padded_by_a_number(model: Model) -> str:
    pads = model.constant("pads", np.array([0, 0, 1, 0, 0, 0, 2, 3], np.int64))
    value = model.constant("value", np.float32(0.5))
    y = model.quantized(model.node("Pad", [model.input(SHAPE), pads, value]), 0.02, 3)
    return model.quantized(model.conv(y, (2, 4, 3, 3)), 0.08, 4)


def row_constant(model: Model, count: int, shape: tuple[int, ...] | None = None) -> str:
    """Quantized as onnxruntime's quantizer leaves what is added after a MatMul."""
    array = model.rng.integers(-128, 128, count).astype(np.int8).reshape(shape or (count,))
    scale, zero = (
        model.constant("c_scale", np.float32(0.0143)),
        model.constant("c_zero", np.int8(-18)),
    )
    return model.node("DequantizeLinear", [model.constant("c", array), scale, zero])


def constant_after_a_layer(model: Model) -> str:
    x = model.input((1, 12), 0.05)
    a = model.quantized(model.gemm(x, (40, 12)), 0.0613, 10)
    y = model.node("Relu", [model.node("Add", [a, row_constant(model, 40)])])
    return model.quantized(y, 0.0537, -128)


def constant_less_a_map(model: Model) -> str:
    c = row_constant(model, 4, (4, 1, 1))
    return model.quantized(model.node("Sub", [c, model.input(SHAPE)]), 0.0231, 5)


def map_less_a_constant(model: Model) -> str:
    c = row_constant(model, 4, (4, 1, 1))
    return model.quantized(model.node("Sub", [model.input(SHAPE), c]), 0.0231, 5)


def softmax(model: Model, scale: float = 1 / 255, zero: int = -128) -> str:
    x = model.quantized(model.gemm(model.input((1, 12), scale=0.05), (60, 12)), 0.03, 10)
    return model.quantized(model.node("Softmax", [x], axis=1), scale, zero)


def softmax_of_its_own_scale(model: Model) -> str:
    return softmax(model, 0.00371, -128)


MODELS = (
    constant_after_a_layer,
    constant_less_a_map,
    map_less_a_constant,
    softmax,
    softmax_of_its_own_scale,
    product,
    product_of_large_numbers,
    difference,
    channel_attention,
    joined_channels,
    joined_rows,
    joined_features,
    joined_series,
    padded,
    padded_by_a_number,
)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_outputs_are_within_one_step_of_onnxruntime(build, dtype, tmp_path: Path) -> None:
    model = Model(dtype=dtype)
    path = model.save(tmp_path / "model.onnx", build(model))
    count, largest, elements = differences(path, load_model(path))
    print(f"{build.__name__} {dtype}: {count} of {elements} elements differ, at most by {largest}")
    assert largest <= 1
    assert count <= 0.005 * elements


def test_micro_kws_as_a_quantizer_leaves_it_equals_onnxruntime_in_most_rows(data_folder) -> None:
    """Biases and softmax have scales of their own. Averages on exact halves move a logit by one
    step; onnxruntime's fused softmax would differ by one step everywhere, so nothing is fused."""
    path = data_folder / "mlperf_tiny" / "onnx" / "micro_kws_m_static_qdq.onnx"
    graph = load_model(path)
    kinds = [node.op.kind for node in graph.nodes]
    assert kinds[-5:] == ["dense", "add_constant", "dense", "add_constant", "softmax"]
    source, result = (graph.tensors[name] for name in (graph.inputs[0], graph.outputs[0]))
    rng = np.random.default_rng(0)
    walks = rng.normal(0, 1, (100, 49, 40)).cumsum(axis=1).reshape(100, -1)
    x = np.clip(np.rint(walks * rng.uniform(0.2, 10, (100, 1))), -128, 127).astype(np.int8)
    session = onnx_session(path)
    real = (x.astype(np.float32) - source.zero_point) * np.float32(source.scale)
    name = session.get_inputs()[0].name
    y = np.concatenate([session.run(None, {name: row[None]})[0] for row in real])
    expected = np.rint(y / np.float32(result.scale)).astype(int) + result.zero_point
    actual = execute(graph, x.reshape(-1, *source.shape[1:])).reshape(100, -1)
    rows = np.count_nonzero(np.all(actual == expected, axis=1))
    print(f"{rows} of 100 rows equal")
    assert rows >= 97
    np.testing.assert_array_equal(actual.argmax(axis=1), expected.argmax(axis=1))
