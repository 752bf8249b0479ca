# SPDX-License-Identifier: Apache-2.0
"""Products with constant matrices in every orientation: at most one step from the runtimes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qdq_models import Model, differences, execute
from tflite_models import T, litert, save

from tinytailor.compiler import load_model
from tinytailor.compiler.references import onnx_session

pytestmark = [pytest.mark.tvm]


def gemm(shape: tuple[int, int], kernel: tuple[int, int], bias: bool = True, **attributes):
    def build(model: Model) -> str:
        x = model.input(shape)
        w, scale = model.weights(kernel, per_channel=False)
        outputs = kernel[0] if attributes.get("transB") else kernel[1]
        inputs = [x, w, model.bias(x, scale, outputs)] if bias else [x, w]
        return model.quantized(model.node("Gemm", inputs, **attributes), 0.06, 5)

    return build


def gemm_of_a_column(model: Model) -> str:
    """transA: the row of features lies in a column."""
    x = model.input((1, 24))
    shape = model.constant("shape", np.array([24, 1], np.int64))
    w, _ = model.weights((24, 6), per_channel=False)
    column = model.node("Reshape", [x, shape])
    return model.quantized(model.node("Gemm", [column, w], transA=1), 0.06, 5)


def matmul(shape: tuple[int, ...], kernel: tuple[int, ...], left: bool = False, bias: bool = False):
    def build(model: Model) -> str:
        x = model.input(shape)
        w, _ = model.weights(kernel, per_channel=False)
        y = model.node("MatMul", [w, x] if left else [x, w])
        if bias:
            size = (kernel[-2], 1) if left else (kernel[-1],)
            b = model.constant("b", model.rng.normal(size=size).astype(np.float32))
            y = model.node("Add", [y, b])
        return model.quantized(y, 0.05, -3)

    return build


def rows_of_a_series(model: Model) -> str:
    """(1, C, T) turned to (1, T, C): in memory it lies so already."""
    x = model.input((1, 6, 15))
    a = model.quantized(model.conv(x, (8, 6, 3)), 0.06, 5)
    w, _ = model.weights((8, 5), per_channel=False)
    turned = model.node("Transpose", [a], perm=[0, 2, 1])
    return model.quantized(model.node("MatMul", [turned, w]), 0.07, -3)


def rows_across_channels(model: Model) -> str:
    """Time is the last axis of (1, C, T), but on the device the channels are: a transpose."""
    x = model.input((1, 6, 15))
    a = model.quantized(model.conv(x, (8, 6, 3)), 0.06, 5)
    w, _ = model.weights((13, 5), per_channel=False)
    return model.quantized(model.node("MatMul", [a, w]), 0.07, -3)


def rows(model: Model) -> str:
    """The input is (1, T, C), and channels come last on the device in any case."""
    x = model.input((1, 5, 12))
    w, scale = model.weights((12, 7), per_channel=False)
    y = model.node("Add", [model.node("MatMul", [x, w]), model.bias(x, scale, 7)])
    return model.quantized(y, 0.05, -3)


def pixels_of_a_map(model: Model) -> str:
    """A 1x1 convolution written as a product, and back to a map."""
    x = model.input((1, 3, 7, 6))
    a = model.quantized(model.conv(x, (4, 3, 3, 3)), 0.06, 5)
    w, _ = model.weights((4, 9), per_channel=False)
    turned = model.node("Transpose", [a], perm=[0, 2, 3, 1])
    y = model.quantized(model.node("MatMul", [turned, w]), 0.05, -3)
    back = model.node("Transpose", [y], perm=[0, 3, 1, 2])
    model.scales[back] = 0.05
    return model.quantized(model.conv(back, (2, 9, 1, 1)), 0.09, 0)


MODELS = {
    "plain": (gemm((1, 24), (24, 6)), ["dense"]),
    "turned": (gemm((1, 24), (6, 24), transB=1), ["dense"]),
    "alpha": (gemm((1, 24), (6, 24), transB=1, alpha=0.5), ["dense"]),
    "negative alpha": (gemm((1, 24), (24, 6), alpha=-0.7), ["dense"]),
    "alpha and beta": (gemm((1, 24), (24, 6), alpha=0.7, beta=1.5), ["dense"]),
    "a column": (gemm_of_a_column, ["dense"]),
    "no bias": (gemm((1, 24), (24, 6), bias=False), ["dense"]),
    "one row": (matmul((1, 1, 12), (12, 7)), ["dense"]),
    "leading axis": (matmul((1, 12), (1, 12, 7)), ["dense"]),
    "from the left": (matmul((1, 12, 5), (7, 12), left=True, bias=True), ["conv2d"]),
    "series": (rows_of_a_series, ["conv2d", "conv2d"]),
    "across channels": (rows_across_channels, ["conv2d", "transpose", "conv2d"]),
    "map": (pixels_of_a_map, ["conv2d", "conv2d", "conv2d"]),
}


@pytest.mark.parametrize("name", MODELS)
def test_products_are_within_one_step_of_onnxruntime(name: str, tmp_path: Path) -> None:
    build, kinds = MODELS[name]
    model = Model()
    path = model.save(tmp_path / "model.onnx", build(model))
    graph = load_model(path)
    found = [node.op.kind for node in graph.nodes]
    count, largest, elements = differences(path, graph)
    print(f"{name}: {found}, {count} of {elements} elements differ, at most by {largest}")
    assert [kind for kind in found if kind != "reshape"] == kinds
    assert largest <= 1
    assert count <= 0.005 * elements


def test_rows_of_the_input_are_within_one_step_of_onnxruntime(tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", rows(model))
    graph = load_model(path)
    source, result = (graph.tensors[name] for name in (graph.inputs[0], graph.outputs[0]))
    assert [n.op.kind for n in graph.nodes if n.op.kind != "reshape"] == ["conv2d"]
    x = np.random.default_rng(2).integers(-128, 128, (1, 5, 12)).astype(np.int8)
    real = (x.astype(np.float32) - source.zero_point) * np.float32(source.scale)
    session = onnx_session(path)
    expected = np.rint(session.run(None, {"x": real})[0] / np.float32(result.scale))
    actual = execute(graph, x).reshape(1, 5, 7).astype(int) - result.zero_point
    assert np.abs(actual - expected).max() <= 1
    assert np.count_nonzero(actual - expected) == 0


WEIGHT = np.random.default_rng(5).integers(-127, 128, (7, 12)).astype(np.int8)
BIAS = np.random.default_rng(6).integers(-3000, 3000, 7).astype(np.int32)


def litert_output(path: Path, sample: np.ndarray) -> np.ndarray:
    return litert(path, [sample[None]])[0].reshape(1, -1)


@pytest.mark.parametrize(
    ("shape", "output", "kept"),
    [
        ((1, 5, 12), (1, 5, 7), True),
        ((1, 4, 3, 12), (1, 4, 3, 7), True),
        ((1, 5, 12), (5, 7), False),
        ((1, 2, 6), (1, 7), False),
    ],
)
def test_fully_connected_rows_are_within_one_step_of_litert(
    shape: tuple[int, ...], output: tuple[int, ...], kept: bool, tmp_path: Path
) -> None:
    inputs = [T(shape), T(WEIGHT.shape, 0.01, 0, WEIGHT), T(BIAS.shape, data=BIAS)]
    path = tmp_path / "m.tflite"
    result = T(output, 0.05, -7)
    save(path, "FULLY_CONNECTED", inputs, result, "FullyConnectedOptions", keepNumDims=kept)
    graph = load_model(path)
    x = np.random.default_rng(1).integers(-128, 128, (20, *shape[1:])).astype(np.int8)
    expected = np.concatenate([litert_output(path, sample) for sample in x])
    distances = np.abs(execute(graph, x).reshape(expected.shape).astype(int) - expected)
    print(f"{shape}: {np.count_nonzero(distances)} of {distances.size} elements differ")
    assert distances.max() <= 1
    assert np.count_nonzero(distances) <= 0.005 * distances.size
