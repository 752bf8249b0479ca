# SPDX-License-Identifier: Apache-2.0
"""QDQ models with one operator that has no integer form, by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from qdq_models import Model

Build = Callable[[Model], str]


@dataclass(frozen=True)
class Case:
    build: Build
    opset: int = 17


def numbers(model: Model, count: int, mean: float = 1.0) -> str:
    values = model.rng.normal(mean, 0.3, count).astype(np.float32)
    return model.constant(f"c_{len(model.constants)}", values)


def alone(kind: str, scale: float, zero: int, shape: tuple[int, ...], **attributes) -> Build:
    """The operator applied to the input, and nothing else."""

    def build(model: Model) -> str:
        y = model.node(kind, [model.input(shape)], "op", **attributes)
        return model.quantized(y, scale, zero)

    return build


def scaled(kind: str, shape: tuple[int, ...], channels: int, bias: bool, **attributes) -> Build:
    """A normalization with a gain and perhaps a bias."""

    def build(model: Model) -> str:
        x = model.input(shape)
        arrays = [numbers(model, channels), *([numbers(model, channels, 0.0)] if bias else [])]
        return model.quantized(model.node(kind, [x, *arrays], "op", **attributes), 0.03, -5)

    return build


def two(kind: str, scale: float, zero: int) -> Build:
    """The operator applied to the input and a positive tensor, which is no function of it."""

    def build(model: Model) -> str:
        x = model.input((1, 6, 16))
        ends = ((-1,), (-17,), (2,), (-1,))  # from the last element of each row to the first
        names = [model.constant(f"e{i}", np.array(end, np.int64)) for i, end in enumerate(ends)]
        turned = model.node("Slice", [x, *names])
        other = model.quantized(model.node("Sigmoid", [turned]), 1 / 256, -128)
        inputs = [other, x] if kind == "Pow" else [x, other]
        return model.quantized(model.node(kind, inputs, "op"), scale, zero)

    return build


def product(model: Model) -> str:
    x = model.input((1, 2, 6, 8))
    turned = model.node("Transpose", [x], perm=[0, 1, 3, 2])
    return model.quantized(model.node("MatMul", [x, turned], "op"), 0.12, 0)


def einsum(model: Model) -> str:
    x = model.input((1, 6, 16))
    y = model.node("Einsum", [x, x], "op", equation="bij,bkj->bik")
    return model.quantized(y, 0.25, 0)


def running_sum(model: Model) -> str:
    axis = model.constant("axis", np.array(1))
    x = model.input((1, 8, 12))
    y = model.node("CumSum", [x, axis], "op", reverse=1, exclusive=1)
    return model.quantized(y, 0.15, 0)


def mean(model: Model) -> str:
    x = model.input((1, 6, 16))
    other = model.quantized(model.node("Sigmoid", [x]), 1 / 256, -128)
    return model.quantized(model.node("Mean", [x, other, x], "op"), 0.02, 0)


def over_space_and_time(model: Model) -> str:
    weight = model.rng.normal(0, 0.2, (3, 2, 2, 2, 2)).astype(np.float32)
    x = model.input((1, 2, 4, 5, 6))
    y = model.node("Conv", [x, model.constant("w", weight)], "op")
    return model.quantized(y, 0.05, 0)


MAP = (1, 8, 5, 6)
CASES = {
    "Conv": Case(over_space_and_time),
    "CumSum": Case(running_sum),
    "Div": Case(two("Div", 0.1, 0)),
    "Einsum": Case(einsum),
    "GroupNormalization": Case(scaled("GroupNormalization", MAP, 8, True, num_groups=2), 21),
    "LRN": Case(alone("LRN", 0.02, 3, MAP, size=3, alpha=0.5, beta=0.75, bias=1.0)),
    "MatMul": Case(product),
    "Mean": Case(mean),
    "MeanVarianceNormalization": Case(alone("MeanVarianceNormalization", 0.03, 0, MAP)),
    "Pow": Case(two("Pow", 0.02, -128)),
    "ReduceL2": Case(alone("ReduceL2", 0.04, -128, MAP, axes=[1], keepdims=1)),
    "ReduceLogSum": Case(alone("ReduceLogSum", 0.05, 0, MAP, axes=[1], keepdims=1)),
    "ReduceLogSumExp": Case(alone("ReduceLogSumExp", 0.04, 0, MAP, axes=[2, 3], keepdims=0)),
    "ReduceProd": Case(alone("ReduceProd", 0.02, 0, MAP, axes=[2], keepdims=1)),
    "RMSNormalization": Case(scaled("RMSNormalization", (1, 6, 16), 16, False), 23),
}


def between_convolutions(model: Model) -> str:
    """A normalized map in a model whose maps are channels-first, with a ReLU behind it."""
    x = model.input((1, 3, 8, 8))
    x = model.quantized(model.conv(x, (8, 3, 3, 3)), 0.05)
    x = model.node("Relu", [model.node("LRN", [x], "norm", size=3)])
    return model.quantized(model.conv(model.quantized(x, 0.03, -128), (4, 8, 1, 1)), 0.1)


def attention(model: Model) -> str:
    """softmax(q k' / 50) v of one head, over the rows of (1, 6, 16)."""
    x = model.input((1, 6, 16))
    heads = []
    for name in "qkv":
        w, _ = model.weights((16, 16), per_channel=False)
        heads.append(model.quantized(model.node("MatMul", [x, w], name), 0.1, 2))
    turned = model.node("Transpose", [heads[1]], perm=[0, 2, 1])
    scale = model.constant("scale", np.float32(0.02))
    scores = model.node("Mul", [model.node("MatMul", [heads[0], turned], "scores"), scale])
    scores = model.quantized(scores, 0.03, 3)
    weights = model.quantized(model.node("Softmax", [scores], "weights"), 1 / 256, -128)
    return model.quantized(model.node("MatMul", [weights, heads[2]], "mixed"), 0.1, 2)


NETWORKS = {"between_convolutions": between_convolutions, "attention": attention}
