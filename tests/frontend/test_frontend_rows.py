# SPDX-License-Identifier: Apache-2.0
"""Operators on vectors along one axis: softmax, its logarithm, normalizations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from qdq_models import Model, differences
from tflite_models import T, gap, save

from tinytailor.compiler import load_model
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

MAP = (1, 4, 5, 6)
UNIT = (1 / 128, 0)


def alone(kind: str, shape: tuple[int, ...], scale: float, zero_point: int, **attributes: object):
    def build(model: Model) -> str:
        y = model.node(kind, [model.input(shape, 0.06)], **attributes)
        return model.quantized(y, scale, zero_point)

    return build


def divided_by_norm(bound: float | None = 1e-12, expand: bool = True, kind: str = "Clip"):
    """As torch writes it."""

    def build(model: Model) -> str:
        x = model.input(MAP, 0.06)
        length = model.node("ReduceL2", [x], axes=[1], keepdims=1)
        if bound is not None:
            length = model.node(kind, [length, model.constant("bound", np.float32(bound))])
        if expand:
            length = model.node("Expand", [length, model.constant("all", np.array(MAP, np.int64))])
        return model.quantized(model.node("Div", [x, length]), *UNIT)

    return build


def of_layers(shape: tuple[int, ...], axis: int, x_scale: float = 0.05, bias: bool = True):
    def build(model: Model) -> str:
        x, sizes = model.input(shape, x_scale), shape[axis:]
        inputs = [x, parameter(model, "gain", 1, sizes)]
        inputs += [parameter(model, "shift", 0, sizes)] if bias else []
        return model.quantized(model.node("LayerNormalization", inputs, axis=axis), 0.0433, 3)

    return build


def of_instances(shape: tuple[int, ...]):
    def build(model: Model) -> str:
        parameters = [parameter(model, name, mean, shape[1:2]) for name, mean in PAIR]
        y = model.node("InstanceNormalization", [model.input(shape, 0.05), *parameters])
        return model.quantized(y, 0.0433, 3)

    return build


PAIR = (("gain", 1), ("shift", 0))


def parameter(model: Model, name: str, mean: float, shape: tuple[int, ...]) -> str:
    return model.constant(name, model.rng.normal(mean, 0.4, shape).astype(np.float32))


def layer_in_parts(factored: bool, axis: int = -1):
    """As torch writes it for old opsets, and as TFLite's converter does."""

    def build(model: Model) -> str:
        shape = (1, 6, 16)
        x = model.input(shape, 0.05)
        gain, shift = (parameter(model, name, mean, shape[-1:]) for name, mean in PAIR)
        mean = model.node("ReduceMean", [x], axes=[axis], keepdims=1)
        two = model.constant("two", np.float32(2))
        square = model.node("Pow", [model.node("Sub", [x, mean]), two])
        variance = model.node("ReduceMean", [square], axes=[axis], keepdims=1)
        small = model.constant("epsilon", np.float32(1e-5))
        deviation = model.node("Sqrt", [model.node("Add", [small, variance])])
        if factored:
            factor = model.node("Mul", [model.node("Reciprocal", [deviation]), gain])
            rest = model.node("Sub", [shift, model.node("Mul", [factor, mean])])
            y = model.node("Add", [rest, model.node("Mul", [x, factor])])
        else:
            ratio = model.node("Div", [model.node("Sub", [x, mean]), deviation])
            y = model.node("Add", [model.node("Mul", [ratio, gain]), shift])
        return model.quantized(y, 0.0433, 3)

    return build


MODELS = {
    "layer": (of_layers((1, 24), 1), "layer_normalize"),
    "layer without bias": (of_layers((1, 6, 16), -1, bias=False), "layer_normalize"),
    "layer of a series": (of_layers((1, 6, 16), 2), "layer_normalize"),
    "layer of columns": (of_layers(MAP, 3), "layer_normalize"),
    "layer of pixels": (of_layers(MAP, 2), "layer_normalize"),
    "layer of a map": (of_layers(MAP, 1), "layer_normalize"),
    "layer of two": (of_layers((1, 5, 2), -1), "layer_normalize"),
    "layer of small numbers": (of_layers((1, 6, 4), -1, 0.003), "layer_normalize"),
    "long layer": (of_layers((1, 3000), -1), "layer_normalize"),
    "layer in parts": (layer_in_parts(False), "layer_normalize"),
    "layer in factors": (layer_in_parts(True), "layer_normalize"),
    "instances": (of_instances(MAP), "layer_normalize"),
    "instances of a series": (of_instances((1, 4, 9)), "layer_normalize"),
    "classes": (alone("LogSoftmax", (1, 12), 1 / 16, 127), "log_softmax"),
    "many classes": (alone("LogSoftmax", (1, 900), 0.0913, 120), "log_softmax"),
    "fine steps": (alone("LogSoftmax", (1, 3), 0.0041, 90), "log_softmax"),
    "channels": (alone("LogSoftmax", MAP, 1 / 16, 127, axis=1), "log_softmax"),
    "columns": (alone("LogSoftmax", MAP, 1 / 16, 127, axis=3), "log_softmax"),
    "vector": (alone("LpNormalization", (1, 12), *UNIT, p=2), "l2_normalize"),
    "coarse": (alone("LpNormalization", (1, 3), 0.0137, -9, p=2), "l2_normalize"),
    "long vector": (alone("LpNormalization", (1, 5000), 0.0003, 11, p=2), "l2_normalize"),
    "vectors of channels": (alone("LpNormalization", MAP, *UNIT, axis=1), "l2_normalize"),
    "in parts": (divided_by_norm(), "l2_normalize"),
    "in parts, Max": (divided_by_norm(kind="Max"), "l2_normalize"),
    "in parts, unbounded": (divided_by_norm(None, False), "l2_normalize"),
}


@pytest.mark.parametrize("name", MODELS)
def test_rows_are_within_one_step_of_onnxruntime(name: str, tmp_path: Path) -> None:
    build, kind = MODELS[name]
    model = Model()
    path = model.save(tmp_path / "model.onnx", build(model))
    graph = load_model(path)
    kinds = [node.op.kind for node in graph.nodes]
    count, largest, elements = differences(path, graph)
    print(f"{name}: {kinds}, {count} of {elements} elements differ, at most by {largest}")
    assert kind in kinds
    assert largest <= 1
    assert count <= 0.01 * elements


@pytest.mark.parametrize("shape", [(1, 12), (1, 3, 4, 5)], ids=str)
@pytest.mark.parametrize(
    ("operator", "output", "options"),
    [
        ("LOG_SOFTMAX", (16 / 256, 127), "LogSoftmaxOptions"),
        ("L2_NORMALIZATION", UNIT, "L2NormOptions"),
    ],
)
def test_rows_are_within_one_step_of_litert(
    operator: str, output: tuple[float, int], options: str, shape, tmp_path: Path
) -> None:
    path = save(tmp_path / "model.tflite", operator, [T(shape, 0.06)], T(shape, *output), options)
    distances = gap(path, load_model(path))
    count = np.count_nonzero(distances)
    print(f"{operator} {shape}: {count} of {distances.size} elements differ")
    assert distances.max() <= 1
    assert count <= 0.03 * distances.size


def test_zeros_stay_zeros(tmp_path: Path) -> None:
    model = Model()
    graph = load_model(model.save(tmp_path / "model.onnx", divided_by_norm()(model)))
    zero = graph.tensors[graph.inputs[0]].zero_point
    x = np.full((1, 5, 6, 4), zero, np.int8)
    (y,) = (node.op.reference((x,), node.constants) for node in graph.nodes)
    assert np.all(y == 0)


@pytest.mark.parametrize("build", [divided_by_norm(0.5), divided_by_norm(kind="Min")])
def test_a_division_that_is_no_normalization_is_refused(build, tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", build(model))
    with pytest.raises(InputError, match="ReduceL2"):
        load_model(path)


def test_a_norm_that_is_read_elsewhere_is_still_computed(tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", divided_by_norm()(model))
    file = onnx.load(path)
    length = next(node.output[0] for node in file.graph.node if node.op_type == "ReduceL2")
    file.graph.output.append(onnx.helper.make_tensor_value_info(length, 1, None))
    onnx.save(file, path)
    with pytest.raises(InputError, match="ReduceL2"):
        load_model(path)


def test_other_norms_are_refused(tmp_path: Path) -> None:
    model = Model()
    build = alone("LpNormalization", (1, 12), *UNIT, p=1)
    path = model.save(tmp_path / "model.onnx", build(model))
    with pytest.raises(InputError, match=r"LpNormalization .*the norm of order 1, expected 2"):
        load_model(path)


def test_parts_over_other_axes_are_no_layer(tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", layer_in_parts(False, axis=1)(model))
    with pytest.raises(InputError, match="no integer form"):
        load_model(path)
