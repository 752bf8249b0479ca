# SPDX-License-Identifier: Apache-2.0
"""Small rebuilds of model files that users reported elsewhere: each stands for its kind.

They lie beside the folder of data, with inputs and what LiteRT or onnxruntime made of them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinytailor.compiler import execute, load_model
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

HALVES = {"18-sum-of-three.onnx": 0.05}  # share of exact halves, which onnxruntime rounds to even
EXACT = (
    "01-keras-flatten-free-batch.tflite",
    "02-keras-conv1d-free-batch.tflite",
    "08-depthwise-bias-axis3.tflite",
    "15-onnx-local-function.onnx",
    "16-maxpool-behind-dequantize.onnx",
    "18-sum-of-three.onnx",
    "20-softmax-over-channels.onnx",
)
REFUSED = {
    "10-conv3d-optional-input.tflite": r"\n  CONV_3D  tensor ",
    "12-int16x8.tflite": "quantized with int16 activations .* expected int8 activations",
}


@pytest.fixture(scope="module")
def cases(data_folder: Path) -> Path:
    folder = data_folder.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"no model files at {folder}")
    return folder


@pytest.mark.parametrize("name", EXACT)
def test_a_reported_model_computes_what_its_runtime_does(name: str, cases: Path) -> None:
    references = np.load(cases / "references.npz")
    x, expected = (references[f"{name[:2]}_{role}0"] for role in "xy")
    graph = load_model(cases / name)
    source, target = (graph.tensors[names[0]] for names in (graph.inputs, graph.outputs))
    if name.endswith(".onnx"):  # channels first there, last on the device
        x, expected = (np.moveaxis(array, 1, -1) for array in (x, expected))
    (actual,) = execute(graph, np.ascontiguousarray(x).reshape(len(x), *source.shape[1:]))
    assert target.shape[1:] == expected.shape[1:]
    steps = actual.astype(np.int32) - target.zero_point - np.rint(expected / target.scale)
    assert np.abs(steps).max() <= 1
    assert np.mean(steps != 0) <= HALVES.get(name, 0.01)


@pytest.mark.parametrize("name", REFUSED)
def test_a_reported_model_is_refused_by_what_stands_in_the_way(name: str, cases: Path) -> None:
    with pytest.raises(InputError, match=REFUSED[name]):
        load_model(cases / name)


def test_a_state_leaves_as_it_enters(cases: Path) -> None:
    graph = load_model(cases / "43-streaming-state.onnx")
    references = np.load(cases / "references.npz")
    entering, leaving = (graph.borders[name] for name in (graph.inputs[1], graph.outputs[1]))
    assert (entering.name, entering.axes) == ("state", (0, 2, 1))
    assert leaving.axes == entering.axes
    shapes = [graph.tensors[name].shape[1:] for name in graph.inputs]
    batches = [
        np.moveaxis(references[f"43_x{index}"], 1, -1).reshape(-1, *shape)
        for index, shape in enumerate(shapes)
    ]
    actual = execute(graph, *(np.ascontiguousarray(batch) for batch in batches))
    for index, name in enumerate(graph.outputs):
        tensor = graph.tensors[name]
        expected = np.moveaxis(references[f"43_y{index}"], 1, -1).reshape(actual[index].shape)
        steps = (
            actual[index].astype(np.int32) - tensor.zero_point - np.rint(expected / tensor.scale)
        )
        assert np.abs(steps).max() == 0
