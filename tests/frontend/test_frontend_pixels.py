# SPDX-License-Identifier: Apache-2.0
"""Camera frames: integer inputs that the model casts to real numbers and scales by channel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from qdq_models import Model

from tinytailor.compiler import execute, load_model
from tinytailor.compiler.references import onnx_session
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

HEIGHT, WIDTH, FRAMES = 6, 5, 20
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Steps = Callable[[Model, str], str]


def constant(model: Model, values: object) -> str:
    array = np.asarray(values, np.float32)
    shape = (1, -1, 1, 1) if array.ndim else ()
    return model.constant(f"c{len(model.constants)}", array.reshape(shape))


def standardized(model: Model, x: str) -> str:
    x = model.node("Div", [x, constant(model, 255)])
    x = model.node("Sub", [x, constant(model, MEAN)])
    return model.node("Div", [x, constant(model, DEVIATION)])


def of_pixels(model: Model, x: str) -> str:
    x = model.node("Sub", [x, constant(model, np.multiply(MEAN, 255))])
    return model.node("Mul", [x, constant(model, np.divide(1 / 255, DEVIATION))])


def centred(model: Model, x: str) -> str:
    x = model.node("Sub", [x, constant(model, 127.5)])
    return model.node("Div", [x, constant(model, 50)])


def model_of(steps: Steps, channels_last: bool, dtype: int, quantized: bool) -> Model:
    """Frames through ``steps`` and a convolution, quantized or in float."""
    model = Model()
    shape = (1, HEIGHT, WIDTH, 3) if channels_last else (1, 3, HEIGHT, WIDTH)
    model.inputs.append(onnx.helper.make_tensor_value_info("x", dtype, shape))
    x = model.node("Cast", ["x"], to=onnx.TensorProto.FLOAT)
    if channels_last:
        x = model.node("Transpose", [x], perm=[0, 3, 1, 2])
    x = steps(model, x)
    if quantized:
        x = model.quantized(x, 0.0187, -14)
        model.result = model.quantized(model.conv(x, (4, 3, 3, 3)), 0.06, 0)
        return model
    weight = model.rng.normal(0, 0.2, (4, 3, 3, 3)).astype(np.float32)
    model.result = model.node("Relu", [model.node("Conv", [x, model.constant("w", weight)])])
    return model


def frames(path: Path, dtype: int) -> np.ndarray:
    kind = onnx.helper.tensor_dtype_to_np_dtype(dtype)
    shape = [size.dim_value for size in onnx.load(path).graph.input[0].type.tensor_type.shape.dim]
    limits = np.iinfo(kind)
    rng = np.random.default_rng(0)
    return rng.integers(limits.min, limits.max + 1, (FRAMES, *shape[1:])).astype(kind)


@pytest.mark.parametrize("dtype", [onnx.TensorProto.UINT8, onnx.TensorProto.INT8])
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("steps", [standardized, of_pixels, centred])
def test_a_frame_becomes_what_onnxruntime_makes_of_it(
    steps: Steps, channels_last: bool, dtype: int, tmp_path: Path
) -> None:
    model = model_of(steps, channels_last, dtype, True)
    path = model.save(tmp_path / "model.onnx", model.result)
    graph = load_model(path)
    table = "lookup" if steps is centred else "channel_lookup"
    assert [node.op.kind for node in graph.nodes] == [table, "conv2d"]
    x, session = frames(path, dtype), onnx_session(path)
    entering, leaving = (graph.borders[names[0]] for names in (graph.inputs, graph.outputs))
    source, target = (graph.tensors[names[0]] for names in (graph.inputs, graph.outputs))
    offset = 128 if dtype == onnx.TensorProto.UINT8 else 0
    assert (source.scale, source.zero_point) == (1, -offset)
    integers = (x.transpose(entering.axes).astype(np.int32) - offset).astype(np.int8)
    (actual,) = execute(graph, integers.reshape(FRAMES, *source.shape[1:]))
    real = np.concatenate([session.run(None, {"x": frame[None]})[0] for frame in x])
    expected = np.rint(real / np.float32(target.scale)) + target.zero_point
    assert np.array_equal(actual, expected.transpose(leaving.axes))


def test_a_float_model_of_frames_is_calibrated_with_frames(tmp_path: Path) -> None:
    model = model_of(standardized, True, onnx.TensorProto.UINT8, False)
    path = model.save(tmp_path / "model.onnx", model.result)
    x = frames(path, onnx.TensorProto.UINT8)
    graph = load_model(path, calibration=x)
    assert [node.op.kind for node in graph.nodes] == ["channel_lookup", "conv2d"]
    target, session = graph.tensors[graph.outputs[0]], onnx_session(path)
    (actual,) = execute(graph, (x.astype(np.int32) - 128).astype(np.int8))
    expected = np.concatenate([session.run(None, {"x": frame[None]})[0] for frame in x])
    real = (actual.astype(np.float32) - target.zero_point) * target.scale
    assert np.abs(real - expected.transpose(0, 2, 3, 1)).max() <= 0.03 * np.ptp(expected)
    with pytest.raises(InputError, match=r"array x is float32 .*, the model reads uint8"):
        load_model(path, calibration=x.astype(np.float32))


def test_other_integers_than_pixels_are_refused(tmp_path: Path) -> None:
    model = model_of(standardized, True, onnx.TensorProto.INT32, False)
    path = model.save(tmp_path / "model.onnx", model.result)
    x = frames(path, onnx.TensorProto.INT8).astype(np.int32)
    with pytest.raises(InputError, match=r"input x is int32, expected float .*or uint8 or int8"):
        load_model(path, calibration=x)
