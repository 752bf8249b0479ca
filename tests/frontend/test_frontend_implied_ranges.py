# SPDX-License-Identifier: Apache-2.0
"""Real numbers that no QuantizeLinear follows directly: where that is exact they become tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qdq_models import Model, differences

from tinytailor.compiler import execute, load_model
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]


def conv(model: Model, size: int = 8) -> str:
    return model.conv(model.input((1, 3, size, size)), (4, 3, 3, 3))


def maximum_before_quantization(model: Model) -> str:
    """TensorRT's way: Q and DQ stand only before the layers."""
    pooled = model.node("MaxPool", [model.node("Relu", [conv(model)])], kernel_shape=[2, 2])
    return model.quantized(pooled, 0.05, -20)


def border_and_join(model: Model) -> str:
    """A border of zeros and the map beside itself, quantized afterwards."""
    real = model.node("Relu", [conv(model)])
    pads = model.constant("pads", np.array([0, 0, 1, 2, 0, 0, 1, 0], np.int64))
    padded = model.node("Pad", [real, pads])
    return model.quantized(model.node("Concat", [padded, padded], axis=1), 0.05, -20)


def table_between(model: Model) -> str:
    """Tanh without quantization before a pooling that is quantized: at most one step away."""
    x = model.quantized(conv(model), 0.05, 4)
    pooled = model.node("AveragePool", [model.node("Tanh", [x])], kernel_shape=[3, 3])
    return model.quantized(pooled, 0.008, 1)


EXACT = {"maximum": maximum_before_quantization, "border and join": border_and_join}


@pytest.mark.parametrize("name", EXACT)
def test_what_is_moved_before_it_is_quantized_equals_onnxruntime(name: str, tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", EXACT[name](model))
    count, largest, elements = differences(path, load_model(path), fused=False)
    assert largest <= 1
    assert count <= 0.001 * elements


def test_a_table_needs_no_quantization_behind_it(tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", table_between(model))
    graph = load_model(path)
    (tanh,) = (node for node in graph.nodes if node.op.kind == "lookup")
    assert graph.tensors[tanh.output].scale == pytest.approx(2 / 255, rel=0.01)
    assert differences(path, graph, fused=False)[1] <= 1


def picked(model: Model, kind: str) -> str:
    """What follows DequantizeLinear and is read by a convolution, as brevitas leaves it."""
    x = model.quantized(conv(model), 0.05, -20)
    pads = model.constant("pads", np.array([0, 0, 1, 2, 0, 0, 1, 0], np.int64))
    if kind == "Concat":
        return model.node("Concat", [x, model.node("Relu", [x])], axis=1)
    if kind == "Max":
        return model.node("Max", [x, model.node("Transpose", [x], perm=[0, 1, 3, 2])])
    inputs = {"Pad": [x, pads]}.get(kind, [x])
    fields = {"kernel_shape": [2, 3]} if kind == "MaxPool" else {}
    return model.node(kind, inputs, **fields)


@pytest.mark.parametrize("kind", ["Concat", "Max", "MaxPool", "Pad", "Relu"])
def test_numbers_that_are_picked_keep_their_scale(kind: str, tmp_path: Path) -> None:
    model = Model()
    read = picked(model, kind)
    channels = 8 if kind == "Concat" else 4
    y = model.quantized(model.conv(read, (5, channels, 3, 3), bias=False), 0.2, 7)
    path = model.save(tmp_path / "model.onnx", y)
    graph = load_model(path)
    (first, *_, last) = (node for node in graph.nodes if node.op.kind == "conv2d")
    scales = [graph.tensors[name].scale for name in (first.output, last.inputs[0])]
    assert scales == [np.float32(0.05)] * 2
    count, largest, elements = differences(path, graph, fused=False)
    assert largest <= 1
    assert count <= 0.002 * elements


def test_a_bound_that_its_scale_does_not_have_is_no_choice_among_numbers(tmp_path: Path) -> None:
    model = Model()
    pooled = model.node("MaxPool", [model.quantized(conv(model), 0.05)], kernel_shape=[2, 2])
    bounds = [model.constant(name, np.float32(v)) for name, v in (("low", -1.01), ("high", 1.01))]
    clipped = model.node("Clip", [pooled, *bounds])
    y = model.quantized(model.conv(clipped, (5, 4, 3, 3), bias=False), 0.2, 7)
    with pytest.raises(InputError, match="its input is not quantized"):
        load_model(model.save(tmp_path / "model.onnx", y))


@pytest.mark.parametrize(("kind", "scale"), [("Softmax", 1 / 256), ("Sigmoid", 1 / 255)])
def test_an_output_of_known_range_needs_no_quantization(kind, scale, tmp_path: Path) -> None:
    model = Model()
    x = model.quantized(model.gemm(model.input((1, 24)), (6, 24)), 0.1, 5)
    path = model.save(tmp_path / "model.onnx", model.node(kind, [x]))
    graph = load_model(path)
    result = graph.tensors[graph.outputs[0]]
    assert result.scale == pytest.approx(scale, rel=0.01)
    assert result.zero_point == -128
    assert differences(path, graph, fused=False)[1] <= 1


def test_two_ranges_behind_one_move_are_refused(tmp_path: Path) -> None:
    """The maximum is quantized in two ways: neither fits what it is taken from."""
    model = Model()
    pooled = model.node("MaxPool", [conv(model)], kernel_shape=[2, 2])
    a, b = model.quantized(pooled, 0.05), model.quantized(pooled, 0.02)
    path = model.save(tmp_path / "model.onnx", model.quantized(model.node("Add", [a, b]), 0.1))
    with pytest.raises(InputError, match=r"MaxPool .*its input is not quantized"):
        load_model(path)


def test_an_input_that_is_computed_with_before_it_is_quantized_is_named(tmp_path: Path) -> None:
    model = Model()
    model.input((1, 3, 8, 8))
    mean = model.constant("mean", np.float32([0.1, 0.2, 0.3]).reshape(1, 3, 1, 1))
    x = model.quantized(model.node("Sub", ["x", mean]), 0.02)
    path = model.save(tmp_path / "model.onnx", model.quantized(model.conv(x, (4, 3, 3, 3)), 0.05))
    with pytest.raises(
        InputError, match="input x is not quantized before it: do this step outside"
    ):
        load_model(path)


def test_one_tensor_as_two_outputs_is_written_twice(tmp_path: Path) -> None:
    import onnx

    model = Model()
    y = model.quantized(conv(model), 0.05, -128)
    path = model.save(tmp_path / "model.onnx", y)
    file = onnx.load(path)
    file.graph.node.append(onnx.helper.make_node("Relu", [y], ["z"]))  # nothing is below 0
    file.graph.output.append(onnx.helper.make_tensor_value_info("z", 1, None))
    onnx.save(file, path)
    graph = load_model(path)
    assert [graph.borders[name].name for name in graph.outputs] == [y, "z"]
    x = np.zeros((1, *graph.tensors["x"].shape[1:]), np.int8)
    assert np.array_equal(*execute(graph, x))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_an_input_that_is_an_output_is_copied(dtype: str, tmp_path: Path) -> None:
    import onnx

    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    model = Model(dtype=dtype)
    model.inputs.append(onnx.helper.make_tensor_value_info("x", kind, (1, 3, 6, 5)))
    scale, zero = (
        model.constant("s", np.float32(0.02)),
        model.constant("z", np.dtype(dtype).type(3)),
    )
    real = model.node("DequantizeLinear", ["x", scale, zero])
    path = model.save(tmp_path / "model.onnx", model.quantized(model.node("Neg", [real]), 0.02))
    file = onnx.load(path)
    file.graph.node.append(onnx.helper.make_node("Identity", ["x"], ["same"]))
    file.graph.output.append(onnx.helper.make_tensor_value_info("same", kind, (1, 3, 6, 5)))
    onnx.save(file, path)
    graph = load_model(path)
    x = np.arange(90, dtype=np.int8).reshape(1, 6, 5, 3)
    assert np.array_equal(execute(graph, x)[1], x)
    assert graph.borders[graph.outputs[1]].dtype == dtype
    assert graph.borders[graph.outputs[0]].dtype == "float32"
