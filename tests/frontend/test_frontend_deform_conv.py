# SPDX-License-Identifier: Apache-2.0
"""DeformConv with whole-pixel offsets against onnxruntime, which samples bilinearly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qdq_models import Model, differences

from tinytailor.compiler import load_model
from tinytailor.compiler.ops import DeformConv2d
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

SHAPE = (1, 4, 9, 8)


def offsets(model: Model, x: str, channels: int, stride: int = 1) -> str:
    """A 1x1 convolution that makes real numbers of a few pixels."""
    return model.conv(x, (channels, SHAPE[1], 1, 1), strides=[stride, stride])


def deform(model: Model, x: str, offset: str, weight: tuple[int, ...], **attributes) -> str:
    w, scale = model.weights(weight)
    inputs = [x, w, offset, model.bias(x, scale, weight[0])]
    mask = attributes.pop("mask", None)
    if mask is not None:
        inputs.append(model.constant("mask", mask))
    y = model.node("DeformConv", inputs, **attributes)
    return model.quantized(model.node("Relu", [y]), 0.05, -128)


def whole_scale(model: Model) -> str:
    x = model.input(SHAPE)
    offset = model.quantized(offsets(model, x, 18), 1.0, 2)
    return deform(model, x, offset, (5, 4, 3, 3), pads=[1, 1, 1, 1])


def rounded(model: Model) -> str:
    x = model.input(SHAPE)
    offset = model.node("Round", [model.quantized(offsets(model, x, 18), 0.06, -4)])
    return deform(model, x, offset, (5, 4, 3, 3), pads=[1, 1, 1, 1])


def rounded_halves(model: Model) -> str:
    """A scale of a half meets 0.5 and 1.5, which Round takes to even."""
    x = model.input(SHAPE)
    offset = model.node("Round", [model.quantized(offsets(model, x, 18), 0.5, 1)])
    return deform(model, x, offset, (5, 4, 3, 3), pads=[1, 1, 1, 1])


def groups_and_strides(model: Model) -> str:
    x = model.input(SHAPE)
    offset = model.quantized(offsets(model, x, 2 * 2 * 6, 2), 2.0, 0)
    attributes = {"strides": [2, 2], "pads": [1, 1, 0, 2], "dilations": [1, 2]}
    return deform(model, x, offset, (6, 2, 2, 3), group=2, offset_group=2, **attributes)


def depthwise_with_a_mask_of_ones(model: Model) -> str:
    x = model.input(SHAPE)
    offset = model.quantized(offsets(model, x, 18), 1.0, 0)
    mask = np.ones((1, 9, *SHAPE[2:]), np.float32)
    return deform(model, x, offset, (4, 1, 3, 3), group=4, pads=[1, 1, 1, 1], mask=mask)


MODELS = (
    whole_scale,
    rounded,
    rounded_halves,
    groups_and_strides,
    depthwise_with_a_mask_of_ones,
)


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_whole_pixel_offsets_are_within_one_step_of_onnxruntime(build, tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", build(model), opset=19)
    graph = load_model(path)
    op = graph.nodes[-1].op
    assert isinstance(op, DeformConv2d)
    assert len(np.unique(graph.nodes[-1].constants["pixels"])) > 10
    count, largest, elements = differences(path, graph)
    print(f"{build.__name__}: {count} of {elements} elements differ, at most by {largest}")
    assert largest <= 1
    assert count <= 0.005 * elements


def fractional(model: Model) -> str:
    x = model.input(SHAPE)
    offset = model.quantized(offsets(model, x, 18), 0.06, -4)
    return deform(model, x, offset, (5, 4, 3, 3), pads=[1, 1, 1, 1])


def half_masked(model: Model) -> str:
    x = model.input(SHAPE)
    offset = model.quantized(offsets(model, x, 18), 1.0, 0)
    mask = np.full((1, 9, *SHAPE[2:]), 0.5, np.float32)
    return deform(model, x, offset, (5, 4, 3, 3), pads=[1, 1, 1, 1], mask=mask)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (fractional, "put Round between DequantizeLinear and its offset input"),
        (half_masked, "its mask has other values than 1"),
    ],
)
def test_what_has_no_integer_form_is_refused(build, reason: str, tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", build(model), opset=19)
    with pytest.raises(InputError, match=reason):
        load_model(path)
