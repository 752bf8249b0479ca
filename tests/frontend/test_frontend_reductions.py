# SPDX-License-Identifier: Apache-2.0
"""Means, sums and extremes over any axes, and their places, against onnxruntime and LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from qdq_models import Model, differences, execute
from tflite_models import T, gap, save

from tinytailor.compiler import load_model
from tinytailor.compiler.references import onnx_session
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

SHAPE = (1, 4, 7, 6)


def reduced(
    kind: str, axes: list[int], scale: float, zero: int, keep: int = 1, shape: tuple = SHAPE
):
    def build(model: Model) -> str:
        x = model.input(shape)
        given = {"axes": axes} if kind != "ReduceSum" else {}
        inputs = [x] if given else [x, model.constant("axes", np.array(axes, np.int64))]
        return model.quantized(model.node(kind, inputs, keepdims=keep, **given), scale, zero)

    build.__name__ = f"{kind}_{axes}_{scale}_{keep}_{shape}".replace(" ", "")
    return build


MODELS = (
    reduced("ReduceMean", [1], 0.0137, 5),
    reduced("ReduceMean", [1], 0.02, 3),
    reduced("ReduceMean", [2], 0.0137, 5, keep=0),
    reduced("ReduceMean", [-1], 0.0137, 5),
    reduced("ReduceMean", [1, 3], 0.0137, 5),
    reduced("ReduceMean", [1, 2, 3], 0.0037, 5),
    reduced("ReduceSum", [2, 3], 0.31, 5),
    reduced("ReduceSum", [1], 0.0317, 5),
    reduced("ReduceMax", [1, 2], 0.02, 3),
    reduced("ReduceMax", [3], 0.0253, 9, keep=0),
    reduced("ReduceMin", [1], 0.02, 3),
    reduced("ReduceMin", [2, 3], 0.0253, 9),
    *(reduced(f"Reduce{kind}", [2, 3], 0.02, 3, shape=(1, 4, 1, 1)) for kind in ("Mean", "Max")),
    reduced("ReduceMean", [2], 0.0137, 5, shape=(1, 4, 1, 6)),
    reduced("ReduceMean", [2], 0.0137, 5, keep=0, shape=(1, 4, 1)),
)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_outputs_are_within_one_step_of_onnxruntime(build, dtype, tmp_path: Path) -> None:
    model = Model(dtype=dtype)
    path = model.save(tmp_path / "model.onnx", build(model))
    count, largest, elements = differences(path, load_model(path))
    print(f"{build.__name__}: {count} of {elements} elements differ, at most by {largest}")
    assert largest <= 1
    assert count <= (0.15 if "Mean" in build.__name__ else 0.005) * elements


def places(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The indices that the graph and onnxruntime find on one input."""
    graph = load_model(path)
    source = graph.tensors[graph.inputs[0]]
    x = np.random.default_rng(3).integers(-20, 20, SHAPE).astype(np.int8)
    real = (x.astype(np.float32) - source.zero_point) * np.float32(source.scale)
    session = onnx_session(path)
    expected = session.run(None, {"x": real})[0]
    on_device = x.transpose(0, 2, 3, 1) if source.shape == (1, 7, 6, 4) else x
    actual = execute(graph, on_device)
    assert actual.dtype == np.int32
    assert graph.tensors[graph.outputs[0]].dtype == "int32"
    return actual.reshape(-1), expected.reshape(-1)


@pytest.mark.parametrize("kind", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize(("axis", "keep"), [(1, 0), (2, 1), (3, 0)])
def test_places_equal_onnxruntime(kind: str, axis: int, keep: int, tmp_path: Path) -> None:
    model = Model()
    y = model.node(kind, [model.input(SHAPE)], axis=axis, keepdims=keep)
    actual, expected = places(model.save(tmp_path / "model.onnx", y, dtype=TensorProto.INT64))
    np.testing.assert_array_equal(actual, expected)


def test_places_inside_a_model_are_refused(tmp_path: Path) -> None:
    model = Model()
    x = model.input(SHAPE)
    y = model.node("ArgMax", [x], axis=1)
    y = model.node("Add", [y, model.constant("one", np.array(1, np.int64))])
    with pytest.raises(InputError, match="indices, which can only be an output"):
        load_model(model.save(tmp_path / "model.onnx", y))


MAP = (1, 9, 8, 3)
AXIS = {"keepDims": True}
LITERT = {
    "mean": ("MEAN", [2], T((1, 9, 1, 3), 0.0137, 5), AXIS),
    "mean of channels": ("MEAN", [3], T((1, 9, 8, 1), 0.0137, 5), AXIS),
    "sum": ("SUM", [1, 2], T((1, 3), 0.53, 5), {}),
    "minimum": ("REDUCE_MIN", [1], T((1, 1, 8, 3)), AXIS),
    "maximum": ("REDUCE_MAX", [3], T((1, 9, 8)), {}),
}


@pytest.mark.parametrize("name", LITERT)
def test_outputs_are_within_one_step_of_litert(name: str, tmp_path: Path) -> None:
    operator, axes, output, fields = LITERT[name]
    array = np.array(axes, np.int32)
    inputs = [T(MAP), T(array.shape, data=array)]
    path = save(tmp_path / "m.tflite", operator, inputs, output, "ReducerOptions", **fields)
    distances = gap(path, load_model(path))
    print(f"{name}: {np.count_nonzero(distances)} of {distances.size} elements differ")
    assert distances.max() <= 1
    assert np.count_nonzero(distances) <= 0.05 * distances.size


@pytest.mark.parametrize("operator", ["ARG_MAX", "ARG_MIN"])
def test_places_equal_litert(operator: str, tmp_path: Path) -> None:
    axis = T((), data=np.array(3, np.int32))
    options = f"{operator.title().replace('_', '')}Options"
    output = T((1, 9, 8), dtype="int32")
    fields = {"outputType": 2}  # int32
    path = save(tmp_path / "m.tflite", operator, [T(MAP), axis], output, options, **fields)
    graph = load_model(path)
    assert graph.tensors[graph.outputs[0]].dtype == "int32"
    assert gap(path, graph).max() == 0
