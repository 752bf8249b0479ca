# SPDX-License-Identifier: Apache-2.0
"""Float ONNX models and samples of their inputs become integers."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from float_models import Floats, differences
from onnx import TensorProto

from tinytailor.compiler import load_model
from tinytailor.compiler.quantize import SCHEMES, quantize_onnx
from tinytailor.compiler.quantize.calibrate import best_range
from tinytailor.compiler.references import onnx_session
from tinytailor.targets.errors import Doubt, InputError

pytestmark = [pytest.mark.tvm]

SHAPE = (1, 3, 8, 8)


def samples(count: int = 20, shape: tuple[int, ...] = SHAPE, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, *shape[1:])).astype(np.float32)


def run_float(data: bytes, x: np.ndarray) -> np.ndarray:
    session = onnx_session(data)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: row[None]})[0] for row in x])


def residual(model: Floats) -> str:
    """Convolution, batch norm, clamps, a residual, pooling, a dense layer."""
    x = model.input("x", ("batch", 3, 8, 8))
    a = model.batch_norm(model.conv(x, (8, 3, 3, 3), bias=False, pads=[1] * 4), 8)
    bounds = [model.constant(np.float32(0)), model.constant(np.float32(6))]
    a = model.node("Clip", [a, *bounds])
    b = model.conv(a, (8, 1, 3, 3), pads=[1] * 4, group=8)
    c = model.node("Relu", [model.node("Add", [a, model.batch_norm(b, 8)])])
    d = model.node("Flatten", [model.node("GlobalAveragePool", [c])])
    weight = model.constant(model.rng.normal(0, 0.3, (5, 8)).astype(np.float32))
    return model.node("Gemm", [d, weight, model.constant(np.zeros(5, np.float32))], transB=1)


def pre_activation(model: Floats) -> str:
    """A batch norm with no layer before it, on a map that two layers read."""
    x = model.conv(model.input("x", SHAPE), (8, 3, 1, 1))
    a = model.node("Relu", [model.batch_norm(x, 8)])
    b = model.node("Add", [x, model.conv(a, (8, 8, 3, 3), pads=[1] * 4)])
    return model.node("Flatten", [model.node("GlobalAveragePool", [b])])


def functions(model: Floats) -> str:
    """HardSwish written out, swish, and parts of a concatenation with other ranges."""
    x = model.conv(model.input("x", SHAPE), (4, 3, 1, 1))
    shifted = model.node("Add", [x, model.constant(np.float32(3))])
    bounds = [model.constant(np.float32(0)), model.constant(np.float32(6))]
    gate = model.node("Clip", [shifted, *bounds])
    scaled = model.node("Mul", [x, gate])
    a = model.node("Div", [scaled, model.constant(np.float32(6))])
    b = model.node("Mul", [x, model.node("Sigmoid", [x])])
    joined = model.node("Concat", [a, b, x], axis=1)
    pooled = model.node("MaxPool", [joined], kernel_shape=[2, 2], strides=[2, 2])
    return model.conv(pooled, (4, 12, 1, 1))


def series(model: Floats) -> str:
    """1-D convolutions over time, a row of classes, softmax."""
    x = model.conv(model.input("x", (1, 3, 24)), (6, 3, 5), strides=[2])
    a = model.node("Relu", [x])
    pooled = model.node("GlobalAveragePool", [a])
    row = model.node("Squeeze", [pooled, model.constant(np.array([2]))])
    weight = model.constant(model.rng.normal(0, 1, (6, 4)).astype(np.float32))
    product = model.node("MatMul", [row, weight])
    bias = model.constant(np.linspace(-1, 1, 4, dtype=np.float32))
    return model.node("Softmax", [model.node("Add", [product, bias])], axis=-1)


NETWORKS = {
    "residual": (residual, SHAPE),
    "pre_activation": (pre_activation, SHAPE),
    "functions": (functions, SHAPE),
    "series": (series, (1, 3, 24)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_integers_are_those_of_onnxruntime_and_near_the_real_numbers(name, tmp_path) -> None:
    build, shape = NETWORKS[name]
    model = Floats()
    data = model.bytes(build(model))
    x = samples(40, shape)
    quantized = tmp_path / "model.onnx"
    quantized.write_bytes(quantize_onnx(data, x))
    onnx.checker.check_model(str(quantized), full_check=True)
    _, ours, gap = differences(quantized, x)
    print(f"{np.count_nonzero(gap)} of {gap.size} elements differ, at most by {gap.max():g}")
    assert gap.max() <= 1
    real = run_float(data, x)
    real = real.transpose(0, 2, 3, 1) if real.ndim == 4 else real
    noise = np.sqrt(np.mean((ours - real.reshape(ours.shape)) ** 2))
    assert noise < 0.04 * real.std() + 0.004


def test_a_batch_norm_leaves_no_operator_of_its_own_behind_a_layer(tmp_path: Path) -> None:
    model = Floats()
    path = tmp_path / "model.onnx"
    path.write_bytes(model.bytes(residual(model)))
    graph = load_model(path, calibration=samples())
    kinds = [node.op.kind for node in graph.nodes if node.op.kind != "reshape"]
    assert kinds[:3] == ["conv2d", "depthwise_conv2d", "add"]
    assert kinds[-1] == "dense"
    assert len(kinds) == 5


def test_the_same_model_and_samples_give_the_same_bytes() -> None:
    model = Floats()
    data = model.bytes(residual(model))
    assert quantize_onnx(data, samples()) == quantize_onnx(data, samples())


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 20])
def test_old_and_new_opsets_are_read(opset: int) -> None:
    model = Floats()
    x = model.input("x", SHAPE)
    y = model.node("Flatten", [model.node("Relu", [model.conv(x, (4, 3, 3, 3))])])
    quantized = onnx.load_model_from_string(quantize_onnx(model.bytes(y, opset), samples()))
    assert max(item.version for item in quantized.opset_import) >= 13


def test_a_dead_channel_and_a_large_bias_keep_the_accumulator_in_32_bits(tmp_path: Path) -> None:
    model = Floats()
    weight = model.rng.normal(0, 0.3, (4, 3, 1, 1)).astype(np.float32)
    weight[1], weight[2] = 0, 1e-9
    bias = np.array([0.1, 3, -4, 0], np.float32)
    inputs = [model.input("x", SHAPE), model.constant(weight), model.constant(bias)]
    data = model.bytes(model.node("Conv", inputs))
    path = tmp_path / "model.onnx"
    path.write_bytes(quantize_onnx(data, samples()))
    _, ours, gap = differences(path, samples())
    assert gap.max() <= 1
    expected = run_float(data, samples()).transpose(0, 2, 3, 1).reshape(ours.shape)
    assert np.abs(ours - expected).max() < 0.1


def test_a_range_without_its_outliers_has_the_smaller_square_error() -> None:
    centres = -60 + (np.arange(2048) + 0.5) * 100 / 2048
    counts = (1e9 * np.exp(-(centres**2) / 2)).astype(np.int64)
    counts[[0, -1]] = 1
    low, high = best_range((-60.0, 40.0), counts)
    assert -25 < low < -3
    assert 3 < high < 25

    def error(a: float, b: float) -> float:
        step = (b - a) / 255
        outside = np.clip(centres, a, b) - centres
        return float((counts * np.where(outside == 0, step**2 / 12, outside**2)).sum())

    others = [(a, b) for a in np.linspace(-60, low, 9) for b in np.linspace(high, 40, 9)]
    assert all(error(low, high) <= error(a, b) * 1.001 for a, b in others)


def test_a_range_is_kept_whole_where_nothing_sticks_out() -> None:
    assert best_range((0.0, 6.0), np.full(2048, 10)) == (0.0, 6.0)
    assert best_range((0.0, 0.0), np.zeros(2048, np.int64)) == (0.0, 0.0)


# --- bad input ------------------------------------------------------------------------------------


def small() -> bytes:
    model = Floats()
    return model.bytes(model.node("Relu", [model.conv(model.input("x", SHAPE), (4, 3, 3, 3))]))


def refusal(data: bytes, calibration: object, **options: str) -> str:
    with pytest.raises(InputError) as caught:
        quantize_onnx(data, calibration, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


BAD = samples(4)
BAD_NAN = samples(4)
BAD_NAN[2, 1, 0, 3] = np.nan


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x": (BAD * 50).astype(np.int8)}, "array x is int8 (4, 3, 8, 8), the model reads float"),
        ({"x": (BAD * 50).astype(np.uint8)}, "give the real numbers"),
        ({"x": BAD_NAN}, "holds NaN or infinity, first at index (2, 1, 0, 3)"),
        ({"x": BAD[:0]}, "has no rows"),
        ({"x": BAD[:, :2]}, "the model reads float (rows, 3, 8, 8)"),
        ({"x": BAD.transpose(0, 2, 3, 1)}, "transpose it to the model's layout"),
        ({"a": BAD, "b": BAD}, "no array for input x (1, 3, 8, 8)"),
        ({}, "no array for input x (1, 3, 8, 8); it has none"),
        ({"x": np.array(["a"])}, "the model reads float"),
    ],
)
def test_samples_that_do_not_fit_are_one_sentence(arrays, reason) -> None:
    assert reason in refusal(small(), arrays)


def test_one_sample_may_come_without_its_batch_axis_and_arrays_without_axes_of_one() -> None:
    whole = quantize_onnx(small(), {"x": BAD[:1]})
    assert quantize_onnx(small(), {"x": BAD[0]}) == whole
    assert quantize_onnx(small(), {"other": BAD[:1, None]}) == whole
    assert quantize_onnx(small(), BAD[:1].astype(np.float64)) == whole


def test_two_inputs_are_read_by_their_names() -> None:
    model = Floats()
    a = model.conv(model.input("left", SHAPE), (4, 3, 1, 1))
    b = model.conv(model.input("right", SHAPE), (4, 3, 1, 1))
    data = model.bytes(model.node("Add", [a, b]))
    assert quantize_onnx(data, {"left": BAD, "right": BAD, "labels": np.zeros(4)})
    assert "no array for input right" in refusal(data, {"left": BAD})
    assert "different numbers of rows" in refusal(data, {"left": BAD, "right": BAD[:2]})


def test_a_quantized_model_needs_no_calibration() -> None:
    quantized = quantize_onnx(small(), BAD)
    assert "is quantized already" in refusal(quantized, BAD)


@pytest.mark.parametrize("narrow", [False, True], ids=["stored", "clipped"])
def test_integer_weights_alone_are_those_of_a_float_model(narrow: bool, tmp_path: Path) -> None:
    model = Floats()
    weight = model.rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    scale = model.constant(model.rng.uniform(0.002, 0.01, 4).astype(np.float32))
    zero, integers = model.constant(np.zeros(4, np.int8)), model.constant(weight)
    if narrow:
        bounds = [model.constant(np.int8(bound)) for bound in (-100, 100)]
        integers = model.node("Clip", [integers, *bounds])
    real = model.node("DequantizeLinear", [integers, scale, zero], axis=0)
    data = model.bytes(model.node("Relu", [model.node("Conv", [model.input("x", SHAPE), real])]))
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(InputError, match="is a float model: give samples"):
        load_model(path)
    x = samples()
    graph = load_model(path, calibration=x)
    assert [node.op.kind for node in graph.nodes] == ["conv2d"]
    expected = run_float(data, x)
    actual = run_float(quantize_onnx(data, x), x)
    assert np.abs(actual - expected).max() <= 0.03 * np.ptp(expected)


def test_an_input_that_is_no_tensor_is_one_sentence() -> None:
    kind = onnx.helper.make_sequence_type_proto(
        onnx.helper.make_tensor_type_proto(TensorProto.FLOAT, [1, 3])
    )
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=1)],
        "sequence",
        [onnx.helper.make_value_info("x", kind)],
        [onnx.helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    data = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    assert "input x is no tensor" in refusal(data, BAD)


def test_an_unknown_scheme_is_an_error_that_lists_the_known_ones() -> None:
    text = refusal(small(), BAD, scheme="w2a2")
    assert all(name in text for name in SCHEMES)


@pytest.mark.parametrize("data", [b"", b"\0", b"not a model" * 9, small()[:50]])
def test_bytes_that_are_no_model_are_one_sentence(data: bytes) -> None:
    assert "model.onnx" in refusal(data, BAD)


def test_operators_of_unknown_domains_and_other_input_types_are_one_sentence() -> None:
    model = Floats()
    y = model.node("Mystery", [model.input("x", SHAPE)], domain="com.example")
    assert "model.onnx" in refusal(model.bytes(y), BAD)
    model = Floats()
    y = model.node("Relu", [model.input("x", SHAPE, TensorProto.FLOAT16)])
    assert "input x is float16" in refusal(model.bytes(y), BAD)


def test_numbers_that_overflow_on_a_sample_are_named() -> None:
    model = Floats()
    y = model.node("Exp", [model.conv(model.input("x", SHAPE), (4, 3, 1, 1))])
    assert "NaN or infinity" in refusal(model.bytes(y), {"x": BAD * np.float32(1e4)})


def test_damaged_float_models_end_in_bytes_or_an_input_error(capfd) -> None:
    model = Floats()
    data = model.bytes(residual(model))
    rng = np.random.default_rng(0)
    results = set()
    for _ in range(60):
        broken = bytearray(data)
        for place in rng.integers(len(data), size=rng.integers(1, 8)):
            broken[place] = rng.integers(256)
        try:
            quantize_onnx(bytes(broken), samples(2))
            results.add("bytes")
        except InputError:
            results.add("InputError")
    assert results == {"bytes", "InputError"}
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_a_sample_far_beyond_the_others_is_named() -> None:
    model = Floats()
    data = model.bytes(residual(model))
    x = samples()
    x[7, 2, 3, 4] = 1000.0
    with pytest.warns(Doubt, match="calibration sample 7 reaches 1000 in tensor x, the others"):
        quantize_onnx(data, x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quantize_onnx(data, samples())


def test_samples_of_zeros_are_named() -> None:
    model = Floats()
    data = model.bytes(residual(model))
    with pytest.warns(Doubt, match="tensor x.* is 0 on every calibration sample"):
        quantize_onnx(data, np.zeros_like(samples()))
