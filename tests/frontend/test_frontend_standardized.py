# SPDX-License-Identifier: Apache-2.0
"""Standardisation in front of a model is part of the quantization of its input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from qdq_models import FLOAT, Model

from tinytailor.compiler import execute, load_model
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.mcu.interface import entry_of
from tinytailor.compiler.quantize import quantize_onnx
from tinytailor.compiler.real_values import quantized
from tinytailor.compiler.references import onnx_session
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

SHAPE = (1, 3, 8, 6)
MEAN, STD = (0.4, -7.0, 120.0), (0.02, 3.5, 40.0)
Steps = Callable[[Model, str], str]


def constant(model: Model, values: object, axis: int = 1) -> str:
    array = np.asarray(values, np.float32)
    shape = [-1 if a == axis else 1 for a in range(4)] if array.ndim else []
    return model.constant(f"c{len(model.constants)}", array.reshape(shape))


def two_divisions(model: Model, x: str) -> str:
    x = model.node("Sub", [x, constant(model, MEAN)])
    return model.node("Div", [x, constant(model, STD)])


def factor_and_sum(model: Model, x: str) -> str:
    x = model.node("Mul", [constant(model, np.divide(1, STD)), x])
    return model.node("Add", [x, constant(model, np.divide(np.negative(MEAN), STD))])


def pixels(model: Model, x: str) -> str:
    return two_divisions(model, model.node("Div", [x, constant(model, 255.0)]))


def batch_norm(model: Model, x: str) -> str:
    values = ([1.0, 2.0, 0.5], [0.1, 0.0, -0.3], MEAN, np.square(STD))
    names = [model.constant(f"bn{i}", np.float32(v)) for i, v in enumerate(values)]
    return model.node("BatchNormalization", [x, *names])


FRONTS: dict[str, Steps] = {
    "two divisions": two_divisions,
    "factor and sum": factor_and_sum,
    "pixels": pixels,
    "batch norm": batch_norm,
}


def numbers(factor: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(3)
    mean, std = (np.reshape(v, (3, 1, 1)) for v in (MEAN, STD))
    return ((mean + 1.5 * std * rng.normal(size=(40, *SHAPE[1:]))) * factor).astype(np.float32)


def run_onnx(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnx_session(model)
    return np.concatenate([session.run(None, {"x": row[None]})[0] for row in x])


def run_graph(graph: Graph, x: np.ndarray) -> np.ndarray:
    """Real outputs for real inputs in the layout of the model."""
    (name,), (output,) = graph.inputs, graph.outputs
    tensor, y = graph.tensors[name], graph.tensors[output]
    turned = x.transpose(0, *(a for a in graph.borders[name].axes if a))
    q = quantized(turned.reshape(-1, *tensor.shape[1:]), entry_of(graph, name), tensor.zero_point)
    (result,) = execute(graph, q)
    return (result.astype(np.float32) - y.zero_point) * np.float32(y.scale)


def quantized_model(front: Steps, before: Callable[[Model, str], str]) -> Model:
    """``front``, then what ``before`` writes as quantization, then a layer."""
    model = Model()
    model.inputs.append(onnx.helper.make_tensor_value_info("x", FLOAT, list(SHAPE)))
    x = before(model, front(model, "x"))
    model.result = model.quantized(model.conv(x, (4, 3, 3, 3)), 0.06, 0)
    return model


def plain(model: Model, x: str) -> str:
    return model.quantized(x, 0.0187, -14)


def differing(model: Model, tmp_path: Path, factor: float = 1.0) -> tuple[Graph, float, float]:
    """(graph, share of outputs that differ from onnxruntime's, by how much at most in steps)."""
    path = model.save(tmp_path / "m.onnx", model.result)
    graph, x = load_model(path), numbers(factor)
    apart = np.abs(run_graph(graph, x) - run_onnx(onnx.load(path), x).transpose(0, 2, 3, 1)) / 0.06
    return graph, float(np.mean(apart > 0.5)), float(apart.max())


@pytest.mark.parametrize("name", FRONTS)
def test_what_stands_before_quantize_linear_is_no_operator_on_the_device(name, tmp_path):
    model = quantized_model(FRONTS[name], plain)
    graph, share, most = differing(model, tmp_path, 255.0 if name == "pixels" else 1.0)
    assert [node.op.kind for node in graph.nodes] == ["conv2d"]
    assert entry_of(graph, graph.inputs[0]).axis == 3
    # one division in place of two may round an exact half of the input otherwise
    assert share <= 0.001
    assert most < 1.01


def test_a_scale_for_each_channel_before_one_for_all_is_exact(tmp_path):
    def per_channel(model: Model, x: str) -> str:
        x = model.node("Sub", [x, constant(model, MEAN)])
        step = model.constant("step", np.float32(STD) * np.float32(0.0187))
        zeros = model.constant("zeros", np.full(3, -14, np.int8))
        q = model.node("QuantizeLinear", [x, step, zeros], axis=1)
        scale = model.constant("scale", np.float32(0.0187))
        y = model.node("DequantizeLinear", [q, scale, model.constant("zero", np.int8(-14))])
        model.scales[y] = 0.0187
        return y

    graph, share, _ = differing(quantized_model(lambda model, x: x, per_channel), tmp_path)
    assert share == 0
    real = entry_of(graph, graph.inputs[0])
    assert real.offset == tuple(map(float, np.float32(MEAN)))
    assert real.step == tuple(map(float, np.float32(STD) * np.float32(0.0187)))


def test_numbers_that_are_turned_around_or_computed_are_no_standardisation(tmp_path):
    def negative(model: Model, x: str) -> str:
        return model.node("Mul", [x, constant(model, (1.0, -1.0, 1.0))])

    def elementwise(model: Model, x: str) -> str:
        table = model.rng.normal(size=SHAPE[1:]).astype(np.float32)
        return model.node("Sub", [x, model.constant("table", table)])

    def grown(model: Model, x: str) -> str:
        one = model.constant("one", np.ones((1, 1, 1, 1, 1), np.float32))
        x = model.node("Sub", [x, one])
        return model.node("Squeeze", [x, model.constant("first", np.array([0], np.int64))])

    def twice(model: Model, x: str) -> str:
        return model.node("Sub", [x, model.node("Relu", [x])])

    for front in (negative, elementwise, grown, twice):
        model = quantized_model(front, plain)
        path = model.save(tmp_path / "m.onnx", model.result)
        with pytest.raises(InputError, match="input x is not quantized"):
            load_model(path)


@pytest.mark.parametrize("name", FRONTS)
def test_a_float_model_gets_a_step_for_each_channel_of_its_input(name, tmp_path):
    """Channels of 2,000 times different sizes would not survive one scale for all."""
    model = Model()
    model.inputs.append(onnx.helper.make_tensor_value_info("x", FLOAT, list(SHAPE)))
    weight = model.rng.normal(0, 0.2, (4, 3, 3, 3)).astype(np.float32)
    x = FRONTS[name](model, "x")
    y = model.node("Relu", [model.node("Conv", [x, model.constant("w", weight)])])
    path = model.save(tmp_path / "float.onnx", y)
    x = numbers(255.0 if name == "pixels" else 1.0)
    data = quantize_onnx(path.read_bytes(), x, path=path)
    (tmp_path / "int8.onnx").write_bytes(data)
    graph = load_model(tmp_path / "int8.onnx")
    assert [node.op.kind for node in graph.nodes] == ["conv2d"]
    quantized_file = onnx.load_model_from_string(data)
    onnx.checker.check_model(quantized_file)
    ours, real = run_graph(graph, x), run_onnx(onnx.load(path), x).transpose(0, 2, 3, 1)
    apart = np.abs(ours - run_onnx(quantized_file, x).transpose(0, 2, 3, 1))
    step = graph.tensors[graph.outputs[0]].scale
    assert apart.max() < 1.01 * step
    assert np.mean(apart > 0) <= 0.001  # exact halves
    assert np.sqrt(np.mean((ours - real) ** 2)) < 0.02 * real.std()
