# SPDX-License-Identifier: Apache-2.0
"""Functions of single elements become tables that hold exactly what onnxruntime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qdq_models import Model, differences

from tinytailor.compiler import load_model
from tinytailor.compiler.ops import Lookup

pytestmark = [pytest.mark.tvm]

SHAPE = (1, 3, 9, 8)


def scalar(model: Model, name: str, value: float) -> str:
    return model.constant(name, np.float32(value))


def simple(kind: str, scale: float, zero: int, x_scale: float = 0.04, **attributes: object):
    def build(model: Model) -> str:
        x = model.input(SHAPE, scale=x_scale, zero=11)
        return model.quantized(model.node(kind, [x], **attributes), scale, zero)

    build.__name__ = f"{kind}_{'_'.join(map(str, attributes.values()))}"
    return build


def requantized(model: Model) -> str:
    return model.quantized(model.input(SHAPE, 0.02, 3), 0.031, -7)


def requantized_with_many_halves(model: Model) -> str:
    return model.quantized(model.input(SHAPE, 0.02, 3), 0.04, -7)


def clip_with_its_own_scale(model: Model) -> str:
    low, high = scalar(model, "low", -0.5), scalar(model, "high", 1.2)
    y = model.node("Clip", [model.input(SHAPE), low, high])
    return model.quantized(y, 0.0067, -50)


def silu(model: Model) -> str:
    x = model.input(SHAPE, 0.04)
    return model.quantized(model.node("Mul", [x, model.node("Sigmoid", [x])]), 0.02, -100)


def scaled_and_shifted(model: Model) -> str:
    x = model.node("Mul", [model.input(SHAPE), scalar(model, "a", -1.7)])
    y = model.node("Sub", [scalar(model, "b", 0.3), x])
    return model.quantized(model.node("Div", [y, scalar(model, "c", 3)]), 0.012, 4)


def relu_of_a_tensor_with_two_readers(model: Model) -> str:
    x = model.input(SHAPE)
    y = model.quantized(model.node("Relu", [x]), 0.02, -128)
    return model.quantized(model.node("Add", [x, y]), 0.04, -20)


def power(model: Model) -> str:
    y = model.node("Pow", [model.input(SHAPE), scalar(model, "two", 2)])
    return model.quantized(y, 0.0123, -120)


def shrunk(model: Model) -> str:
    """0 from -0.4 to 0.3, as exporters write Hardshrink."""
    x = model.input(SHAPE)
    above = model.node("Greater", [x, scalar(model, "high", 0.3)])
    below = model.node("LessOrEqual", [x, scalar(model, "low", -0.4)])
    outside = model.node("Or", [above, below])
    y = model.node("Where", [outside, x, scalar(model, "zero", 0)])
    return model.quantized(y, 0.0137, 4)


def chosen_from_two_functions(model: Model) -> str:
    x = model.input(SHAPE)
    inside = model.node("Not", [model.node("Less", [x, scalar(model, "low", 0.1)])])
    y = model.node("Where", [inside, model.node("Sin", [x]), model.node("Neg", [x])])
    return model.quantized(y, 0.0157, 4)


def functions_of_one_tensor(kind: str):
    """Of a tensor and a quantized function of it, as quantizers write a gate."""

    def build(model: Model) -> str:
        x = model.input(SHAPE, 0.04)
        a = model.quantized(model.node("Sigmoid", [x]), 1 / 256, -128)
        b = model.quantized(model.node("Exp", [a]), 0.0113, -128)
        return model.quantized(model.node(kind, [x, b]), 0.0713, 4)

    build.__name__ = f"{kind}_of_one_tensor"
    return build


def bounded(model: Model) -> str:
    """Max and Min with numbers and a function in between, which clamps cannot hold."""
    x = model.node("Max", [model.input(SHAPE), scalar(model, "low", -0.7)])
    x = model.node("Min", [model.node("Sin", [x]), scalar(model, "high", 0.5)])
    return model.quantized(x, 0.0057, 4)


def gelu_of_its_parts(model: Model) -> str:
    x = model.input(SHAPE, 0.03)
    y = model.node("Erf", [model.node("Div", [x, scalar(model, "root", 2**0.5)])])
    y = model.node("Mul", [x, model.node("Add", [y, scalar(model, "one", 1)])])
    return model.quantized(model.node("Mul", [y, scalar(model, "half", 0.5)]), 0.017, -100)


def prelu_with_one_slope(model: Model) -> str:
    slope = model.constant("slope", np.full((1, 1, 1), 0.3, np.float32))
    return model.quantized(model.node("PRelu", [model.input(SHAPE), slope]), 0.0117, -40)


MODELS = (
    simple("Abs", 0.0213, -128),
    simple("Neg", 0.0337, 5),
    simple("Exp", 0.11, -128, x_scale=0.02),
    simple("Softplus", 0.021, -128),
    simple("Softsign", 0.0079, 3),
    simple("Selu", 0.031, -70),
    simple("Celu", 0.031, -70, alpha=0.7),
    simple("ThresholdedRelu", 0.021, -128, alpha=0.6),
    simple("Floor", 0.043, 5),
    simple("Ceil", 0.043, 5, x_scale=0.3),
    simple("Erf", 0.0079, 3),
    simple("Cos", 0.0079, 3),
    power,
    bounded,
    functions_of_one_tensor("Div"),
    functions_of_one_tensor("Mul"),
    shrunk,
    chosen_from_two_functions,
    gelu_of_its_parts,
    prelu_with_one_slope,
    simple("Sigmoid", 1 / 256, -128),
    simple("Tanh", 1 / 128, 0),
    simple("HardSigmoid", 1 / 256, -128),
    simple("HardSigmoid", 1 / 255, -128, alpha=1 / 6, beta=0.5),
    simple("HardSwish", 0.02, -110),
    simple("LeakyRelu", 0.03, -50),
    simple("LeakyRelu", 0.04, 11, alpha=0.25),
    simple("Elu", 0.025, -90),
    simple("Elu", 0.025, -90, alpha=0.5),
    simple("Relu", 0.02, -128),
    requantized,
    requantized_with_many_halves,
    clip_with_its_own_scale,
    silu,
    scaled_and_shifted,
)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_a_table_equals_onnxruntime(build, dtype, tmp_path: Path) -> None:
    model = Model(dtype=dtype)
    path = model.save(tmp_path / "model.onnx", build(model))
    graph = load_model(path)
    assert [type(node.op) for node in graph.nodes] == [Lookup]
    steps = 8 if build.__name__ in ("Floor_", "Ceil_") else 30
    assert len(np.unique(graph.nodes[0].constants["table"])) > steps
    count, _, elements = differences(path, graph)
    print(f"{build.__name__} {dtype}: {count} of {elements} elements differ")
    assert count == 0


def positive(kind: str, scale: float, zero: int):
    """Functions of what is never negative."""

    def build(model: Model) -> str:
        x = model.input(SHAPE, scale=0.03, zero=-128)
        return model.quantized(model.node(kind, [x]), scale, zero)

    build.__name__ = kind
    return build


def newer(kind: str, scale: float, zero: int, **attributes: object):
    def build(model: Model) -> str:
        x = model.input(SHAPE, scale=0.04)
        return model.quantized(model.node(kind, [x], **attributes), scale, zero)

    build.__name__ = f"{kind}_{'_'.join(map(str, attributes.values()))}"
    return build


NEWER = (
    positive("Sqrt", 0.011, -128),
    positive("Log", 0.021, 60),
    positive("Reciprocal", 0.021, -128),
    newer("Gelu", 0.02, -100),
    newer("Gelu", 0.02, -100, approximate="tanh"),
    newer("Mish", 0.02, -100),
    newer("Sign", 0.01, 3),
    newer("Round", 0.05, 3),
)


@pytest.mark.parametrize("build", NEWER, ids=lambda build: build.__name__)
def test_a_table_of_a_newer_operator_equals_onnxruntime(build, tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", build(model), opset=20)
    graph = load_model(path)
    assert [type(node.op) for node in graph.nodes] == [Lookup]
    assert len(np.unique(graph.nodes[0].constants["table"])) > 2
    assert differences(path, graph)[0] == 0


def test_relu_of_a_tensor_that_others_read_is_a_table(tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", relu_of_a_tensor_with_two_readers(model))
    graph = load_model(path)
    assert [node.op.kind for node in graph.nodes] == ["lookup", "add"]
    assert differences(path, graph)[1] <= 1
