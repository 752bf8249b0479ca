# SPDX-License-Identifier: Apache-2.0
"""Functions of single elements become tables that hold exactly what onnxruntime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qdq_models import Model, differences

from tinytailor.compiler.frontend import load_model
from tinytailor.compiler.ops import Lookup

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


MODELS = (
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
    assert len(np.unique(graph.nodes[0].constants["table"])) > 30
    count, _, elements = differences(path, graph)
    print(f"{build.__name__} {dtype}: {count} of {elements} elements differ")
    assert count == 0


def test_relu_of_a_tensor_that_others_read_is_a_table(tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", relu_of_a_tensor_with_two_readers(model))
    graph = load_model(path)
    assert [node.op.kind for node in graph.nodes] == ["lookup", "add"]
    assert differences(path, graph)[1] <= 1
