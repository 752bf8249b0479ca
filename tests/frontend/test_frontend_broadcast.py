# SPDX-License-Identifier: Apache-2.0
"""Operands and constants that are repeated along axes, and normalizations, against onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qdq_models import Model, differences

from tinytailor.compiler import load_model
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

SHAPE = (1, 4, 7, 6)


def pixel_attention(model: Model) -> str:
    x = model.input(SHAPE)
    a = model.quantized(model.conv(x, (1, 4, 1, 1)), 0.03, 5)
    gate = model.quantized(model.node("Sigmoid", [a]), 1 / 256, -128)
    return model.quantized(model.node("Mul", [x, gate]), 0.0153, 3)


def channels_plus_map(model: Model) -> str:
    x = model.input(SHAPE)
    a = model.quantized(model.node("GlobalMaxPool", [x]), 0.02, 3)
    return model.quantized(model.node("Add", [a, x]), 0.0337, 3)


def map_less_pixels(model: Model) -> str:
    x = model.input(SHAPE)
    a = model.quantized(model.conv(x, (1, 4, 1, 1)), 0.0313, 5)
    return model.quantized(model.node("Sub", [x, a]), 0.0337, 3)


def row_and_column(model: Model) -> str:
    x = model.input(SHAPE)
    a = model.quantized(model.conv(x, (4, 4, 7, 1)), 0.1, 5)
    b = model.quantized(model.conv(x, (4, 4, 1, 6)), 0.1, 5)
    return model.quantized(model.node("Mul", [a, b]), 0.7137, 3)


def different_layouts(model: Model) -> str:
    x = model.input((1, 4, 6, 6))
    a = model.quantized(model.conv(x, (4, 4, 1, 1)), 0.0413, 5)
    b = model.node("Transpose", [a], perm=[0, 1, 3, 2])
    return model.quantized(model.node("Add", [a, b]), 0.0737, 3)


def constant(model: Model, shape: tuple[int, ...], name: str = "c") -> str:
    array = model.rng.integers(-128, 128, shape).astype(np.int8)
    scale = model.constant(f"{name}_scale", np.float32(0.0143))
    zero = model.constant(f"{name}_zero", np.int8(-18))
    return model.node("DequantizeLinear", [model.constant(name, array), scale, zero])


def with_constant(kind: str, shape: tuple[int, ...], first: bool = False):
    def build(model: Model) -> str:
        x, c = model.input(SHAPE), constant(model, shape)
        y = model.node(kind, [c, x] if first else [x, c])
        return model.quantized(y, 0.0337, 3)

    build.__name__ = f"{kind}_{shape}_{first}".replace(" ", "")
    return build


def normalization(model: Model, x: str, channels: int) -> str:
    rng = model.rng
    arrays = {
        "gamma": rng.normal(1, 0.4, channels) * rng.choice([-1, 1], channels),
        "beta": rng.normal(0, 1, channels),
        "mean": rng.normal(0, 0.3, channels),
        "variance": rng.uniform(0.3, 2, channels),
    }
    names = [model.constant(name, a.astype(np.float32)) for name, a in arrays.items()]
    return model.node("BatchNormalization", [x, *names], epsilon=1e-3)


def normalization_of_an_input(model: Model) -> str:
    y = model.node("Relu", [normalization(model, model.input(SHAPE), 4)])
    return model.quantized(y, 0.0237, -128)


def normalization_behind_a_layer(model: Model) -> str:
    y = model.conv(model.input(SHAPE), (5, 4, 3, 3))
    y = model.node("Relu", [normalization(model, y, 5)])
    return model.quantized(y, 0.0537, -128)


def factors(model: Model, shape: tuple[int, ...]) -> list[str]:
    arrays = (model.rng.normal(1, 0.2, shape).astype(np.float32) for _ in range(3))
    return [model.constant(f"factor_{i}", array) for i, array in enumerate(arrays)]


def scaled_and_shifted_layer(model: Model) -> str:
    y = model.conv(model.input(SHAPE), (5, 4, 3, 3), bias=False)
    c = factors(model, (5, 1, 1))
    y = model.node("Div", [model.node("Sub", [model.node("Mul", [y, c[0]]), c[1]]), c[2]])
    return model.quantized(y, 0.0537, 3)


def scaled_and_shifted_map(model: Model) -> str:
    y = model.input(SHAPE)
    c = factors(model, (7, 1))
    y = model.node("Div", [model.node("Sub", [c[1], model.node("Mul", [y, c[0]])]), c[2]])
    return model.quantized(y, 0.0237, 3)


def larger_of_two(model: Model) -> str:
    x = model.input(SHAPE)
    a = model.quantized(model.conv(x, (1, 4, 1, 1)), 0.0313, 5)
    y = model.node("Max", [a, x, model.constant("low", np.float32(0.1))])
    return model.quantized(y, 0.0313, 5)


def prelu(model: Model) -> str:
    slope = model.constant("slope", model.rng.normal(0.2, 0.3, (4, 1, 1)).astype(np.float32))
    return model.quantized(model.node("PRelu", [model.input(SHAPE), slope]), 0.0237, -40)


def summed(model: Model) -> str:
    x = model.node("Dropout", [model.input(SHAPE)])
    a = model.quantized(model.conv(x_scaled(model, x), (4, 4, 1, 1)), 0.0313, 5)
    return model.quantized(model.node("Sum", [x, a]), 0.0437, 3)


def x_scaled(model: Model, x: str) -> str:
    model.scales[x] = 0.02
    return x


def repeated_by_a_constant(kind: str, constant_shape: tuple[int, ...]):
    """A constant larger than the tensor beside it, as gains behind a mean are."""

    def build(model: Model) -> str:
        x = model.quantized(model.node("GlobalAveragePool", [model.input(SHAPE)]), 0.0137, -6)
        y = model.node(kind, [constant(model, constant_shape), x])
        return model.quantized(y, 0.0237, 3)

    build.__name__ = f"{kind}_repeated_{constant_shape}".replace(" ", "")
    return build


def joined_along_the_batch(model: Model) -> str:
    x = model.input((1, 3, 5))
    parts = [model.quantized(model.node(kind, [x]), 0.02, 3) for kind in ("Neg", "Abs")]
    return model.quantized(model.node("Concat", parts, axis=0), 0.02, 3)


def sum_of_four(model: Model) -> str:
    x = model.input(SHAPE)
    a = model.quantized(model.conv(x, (4, 4, 1, 1)), 0.0413, 5)
    b = model.quantized(model.node("GlobalAveragePool", [x]), 0.0137, -6)
    c = model.quantized(model.conv(x, (1, 4, 1, 1)), 0.0531, -9)
    return model.quantized(model.node("Sum", [x, a, b, c]), 0.0737, 3)


def sums_and_differences(model: Model) -> str:
    """(x + a) - (b - x), rounded once."""
    x = model.input(SHAPE)
    a = model.quantized(model.conv(x, (4, 4, 1, 1)), 0.0413, 5)
    b = model.quantized(model.conv(x, (4, 4, 1, 1)), 0.0331, -5)
    left, right = model.node("Add", [x, a]), model.node("Sub", [b, x])
    return model.quantized(model.node("Relu", [model.node("Sub", [left, right])]), 0.0537, -128)


MODELS = (
    repeated_by_a_constant("Mul", (4, 7, 1)),
    repeated_by_a_constant("Add", (1, 1, 1, 6)),
    joined_along_the_batch,
    sum_of_four,
    sums_and_differences,
    summed,
    larger_of_two,
    prelu,
    pixel_attention,
    channels_plus_map,
    map_less_pixels,
    row_and_column,
    different_layouts,
    with_constant("Add", (1, 6)),
    with_constant("Add", (4, 7, 6)),
    with_constant("Sub", (7, 1), first=True),
    with_constant("Sub", (1, 4, 1, 1)),
    with_constant("Mul", (4, 1, 1)),
    with_constant("Mul", (4, 1, 6), first=True),
    normalization_of_an_input,
    normalization_behind_a_layer,
    scaled_and_shifted_layer,
    scaled_and_shifted_map,
)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_outputs_are_within_one_step_of_onnxruntime(build, dtype, tmp_path: Path) -> None:
    model = Model(dtype=dtype)
    path = model.save(tmp_path / "model.onnx", build(model))
    count, largest, elements = differences(path, load_model(path))
    print(f"{build.__name__}: {count} of {elements} elements differ, at most by {largest}")
    assert largest <= 1
    assert count <= 0.005 * elements


def test_a_normalization_behind_a_layer_costs_nothing(tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", normalization_behind_a_layer(model))
    assert [node.op.kind for node in load_model(path).nodes] == ["conv2d"]


def test_sums_that_nothing_rounds_in_between_are_one(tmp_path: Path) -> None:
    for build, count in ((sum_of_four, 4), (sums_and_differences, 4)):
        model = Model()
        graph = load_model(model.save(tmp_path / "model.onnx", build(model)))
        sums = [node for node in graph.nodes if node.op.kind in ("add", "add_n")]
        assert [len(node.inputs) for node in sums] == [count]


def test_more_tensors_than_a_sum_takes_are_refused(tmp_path: Path) -> None:
    model = Model()
    x = model.input(SHAPE)
    path = model.save(tmp_path / "model.onnx", model.quantized(model.node("Sum", [x] * 17), 0.5, 0))
    with pytest.raises(InputError, match="a sum of 17 tensors; expected up to 16"):
        load_model(path)


def test_dividing_by_a_tensor_is_refused(tmp_path: Path) -> None:
    model = Model()
    x = model.input(SHAPE)
    a = model.quantized(model.conv(x, (1, 4, 1, 1)), 0.03, 5)
    path = model.save(tmp_path / "m.onnx", model.quantized(model.node("Div", [x, a]), 0.02))
    with pytest.raises(InputError, match="divides by a tensor"):
        load_model(path)
