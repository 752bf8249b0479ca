# SPDX-License-Identifier: Apache-2.0
"""Pooling with every attribute against onnxruntime: maxima exactly, averages at most one step off.

Averages of integers meet exact halves often: onnxruntime rounds them to even, TFLite and we away.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qdq_models import Model, differences
from tflite_models import T, gap, save

from tinytailor.compiler import load_model
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

SHAPE = (1, 3, 10, 9)
KERNEL = {"kernel_shape": [3, 2], "strides": [2, 2]}
SAME_SCALE, OTHER_SCALE = (0.02, 3), (0.013, -20)


def pool(kind: str, quantization: tuple[float, int], **attributes: object):
    def build(model: Model) -> str:
        y = model.node(kind, [model.input(SHAPE)], **attributes)
        return model.quantized(y, *quantization)

    return build


def series(kind: str, **attributes: object):
    def build(model: Model) -> str:
        y = model.node(kind, [model.input((1, 4, 21))], **attributes)
        return model.quantized(y, *OTHER_SCALE)

    return build


def relu_between(model: Model) -> str:
    y = model.node("MaxPool", [model.input(SHAPE)], **KERNEL)
    return model.quantized(model.node("Relu", [y]), 0.011, -128)


def reduced(model: Model) -> str:
    y = model.node("ReduceMax", [model.input(SHAPE)], axes=[2, 3], keepdims=0)
    return model.quantized(y, *SAME_SCALE)


CEIL = {**KERNEL, "ceil_mode": 1}
COUNTED = {**KERNEL, "pads": [1, 1, 1, 0], "count_include_pad": 1}
MAXIMA = {
    "dilation": pool("MaxPool", SAME_SCALE, dilations=[2, 3], pads=[1, 0, 1, 1], **KERNEL),
    "another scale": pool("MaxPool", OTHER_SCALE, **KERNEL),
    "relu and another scale": relu_between,
    "last window cut off": pool("MaxPool", SAME_SCALE, **CEIL),
    "cut off, with a border": pool("MaxPool", SAME_SCALE, pads=[1, 1, 0, 0], **CEIL),
    "series cut off": series("MaxPool", kernel_shape=[4], strides=[3], ceil_mode=1),
    "whole map": pool("GlobalMaxPool", SAME_SCALE),
    "whole map, another scale": pool("GlobalMaxPool", OTHER_SCALE),
    "whole series": series("GlobalMaxPool"),
    "reduced": reduced,
}
AVERAGES = {
    "border counts": pool("AveragePool", SAME_SCALE, **COUNTED),
    "border counts, another scale": pool("AveragePool", OTHER_SCALE, **COUNTED),
    "border does not count, another scale": pool(
        "AveragePool", OTHER_SCALE, pads=[1, 1, 1, 0], **KERNEL
    ),
    "last window cut off": pool("AveragePool", SAME_SCALE, **CEIL),
    "cut off, another scale": pool("AveragePool", OTHER_SCALE, pads=[1, 0, 1, 1], **CEIL),
    "same lower": pool("AveragePool", OTHER_SCALE, auto_pad="SAME_LOWER", **KERNEL),
    "dilation": pool("AveragePool", OTHER_SCALE, dilations=[2, 3], **KERNEL),
    "series": series("AveragePool", kernel_shape=[4], strides=[2], pads=[1, 2]),
}


@pytest.mark.parametrize("name", MAXIMA)
def test_maxima_equal_onnxruntime(name: str, tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", MAXIMA[name](model))
    assert differences(path, load_model(path))[0] == 0


@pytest.mark.parametrize("name", AVERAGES)
def test_averages_are_within_one_step_of_onnxruntime(name: str, tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "model.onnx", AVERAGES[name](model), opset=19)
    # onnxruntime 1.31 refuses the dilation of an average that it has fused itself.
    count, largest, elements = differences(path, load_model(path), fused=name != "dilation")
    print(f"{name}: {count} of {elements} elements differ, at most by {largest}")
    assert largest <= 1
    assert count <= 0.15 * elements


def test_a_counted_border_with_a_cut_window_is_refused(tmp_path: Path) -> None:
    model = Model()
    build = pool("AveragePool", SAME_SCALE, ceil_mode=1, **COUNTED)
    path = model.save(tmp_path / "model.onnx", build(model))
    with pytest.raises(InputError, match="counts its padding, with a last window that is cut off"):
        load_model(path)


def test_a_window_that_fits_no_memory_is_refused(tmp_path: Path) -> None:
    model = Model()
    window = {"kernel_shape": [60000] * 2, "strides": [60000] * 2, "pads": [59990] * 4}
    build = pool("AveragePool", OTHER_SCALE, **window)
    path = model.save(tmp_path / "model.onnx", build(model))
    with pytest.raises(InputError, match="60000 x 60000 pixels, which fits no device"):
        load_model(path)


def test_the_maximum_of_a_map_equals_litert(tmp_path: Path) -> None:
    axes = T((2,), data=np.array([1, 2], np.int32))
    fields = {"keepDims": True}
    shape = ((1, 9, 8, 3), (1, 1, 1, 3))
    inputs = [T(shape[0]), axes]
    path = save(
        tmp_path / "m.tflite", "REDUCE_MAX", inputs, T(shape[1]), "ReducerOptions", **fields
    )
    assert gap(path, load_model(path)).max() == 0
