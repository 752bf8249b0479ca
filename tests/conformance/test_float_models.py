# SPDX-License-Identifier: Apache-2.0
"""Float models as people publish them: quantized on real data, every layer within one step of
onnxruntime on the same integers, and as accurate as the float model but for single samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from layers import integer_tensors, layers
from node_tests import imported, steps_apart

from tinytailor.compiler import compile_model, references, verify
from tinytailor.compiler.execute import execute
from tinytailor.compiler.quantize import quantize_model
from tinytailor.targets import load_target

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

CALIBRATED = 100
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class Data:
    """Inputs in the model's own layout and their labels."""

    x: np.ndarray
    y: np.ndarray


def words(folder: Path) -> Data:
    """MFCCs of 1000 recorded words; the file holds them quantized for kws_int8.tflite."""
    stored = np.load(folder / "mlperf_tiny/inputs/kws01.npz")
    x = (stored["x"].astype(np.float32) - 83) * np.float32(0.5847029089927673)
    return Data(x[..., None], stored["y"])


def photos(folder: Path) -> Data:
    stored = np.load(folder / "cifar10/cifar10_train100_lossless.npz")
    return Data(stored["x"].astype(np.float32), stored["y"])


def normal_photos(folder: Path) -> Data:
    data = photos(folder)
    x = (data.x / 255 - MEAN) / DEVIATION
    return Data(np.ascontiguousarray(x.transpose(0, 3, 1, 2), np.float32), data.y)


# name -> (file, its data, correct answers of the float model, how many fewer are accepted)
MODELS = {
    "alibaba_kws": ("onnx/alibaba_kws.onnx", words, 908, 8),
    "alibaba_ic": ("onnx/alibaba_ic.onnx", normal_photos, 89, 2),
    "kws_float32": ("models/kws_float32.tflite", words, 901, 8),
    "ic_resnet8_float": ("models/ic_resnet8_float.tflite", photos, 89, 2),
}


@pytest.fixture(scope="module", params=MODELS)
def quantized(request, data_folder):
    """(name, QDQ bytes, data)."""
    file, read, *_ = MODELS[request.param]
    path, data = data_folder / "mlperf_tiny" / file, read(data_folder)
    return request.param, quantize_model(path.read_bytes(), data.x[:CALIBRATED], path=path), data


def on_device(graph, x: np.ndarray) -> np.ndarray:
    """Inputs as the device reads them."""
    tensor = graph.tensors[graph.inputs[0]]
    steps = np.rint(x / np.float32(tensor.scale)) + tensor.zero_point
    if steps.shape[1:] != tensor.shape[1:]:
        steps = steps.transpose(0, 2, 3, 1)
    return np.clip(steps, -128, 127).astype(np.int8).reshape(-1, *tensor.shape[1:])


def test_every_layer_is_within_one_step_of_onnxruntime_on_the_same_integers(quantized) -> None:
    name, data, samples = quantized
    model = onnx.load_model_from_string(data)
    source = model.graph.input[0].name
    integers = integer_tensors(model, {source: samples.x[:1]})
    differing = elements = count = 0
    for part, inputs in layers(model, integers):
        feeds = {key: integers[key] for key in inputs}
        _, (gap,) = steps_apart(part, feeds, Path(f"{name}.onnx"))
        assert gap.max() <= 1
        differing, elements = differing + int(np.count_nonzero(gap)), elements + gap.size
        count += 1
    print(f"{name}: {differing} of {elements} elements of {count} layers differ by one step")
    assert count >= 11
    assert differing <= elements // 1000


def test_integers_are_as_accurate_as_the_float_model_but_for_single_samples(quantized) -> None:
    name, data, samples = quantized
    graph = imported(data, Path(f"{name}.onnx"))
    y = execute(graph, on_device(graph, samples.x))[0].reshape(len(samples.x), -1)
    correct = int((y.argmax(axis=1) == samples.y).sum())
    _, _, expected, fewer = MODELS[name]
    print(f"{name}: {correct} of {len(samples.x)} correct, {expected} in float")
    assert correct >= expected - fewer


@pytest.mark.parametrize("name", ["alibaba_kws", "alibaba_ic"])
def test_the_emulated_device_computes_the_integers_bit_for_bit(
    name: str, data_folder, tmp_path
) -> None:
    file, read, *_ = MODELS[name]
    path, data = data_folder / "mlperf_tiny" / file, read(data_folder)
    qdq = quantize_model(path.read_bytes(), data.x[:20], path=path)
    graph = imported(qdq, path)
    compile_model(graph, load_target("nucleo-l4r5zi"), tmp_path / "p", "net", model_sha256="")
    assert verify(tmp_path / "p", "emulator", on_device(graph, data.x[:4]))["bit_exact"]


def test_a_float_tflite_model_is_the_same_function_in_onnx(data_folder) -> None:
    from tinytailor.compiler.frontend.tflite.float_model import float_onnx

    pytest.importorskip("ai_edge_litert")
    path = data_folder / "mlperf_tiny/models/ic_resnet8_float.tflite"
    session = references.onnx_session(float_onnx(path.read_bytes(), path))
    interpreter = references.litert(path)
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    for sample in photos(data_folder).x[:10]:
        interpreter.set_tensor(source["index"], sample[None])
        interpreter.invoke()
        expected = interpreter.get_tensor(result["index"])
        actual = session.run(None, {session.get_inputs()[0].name: sample[None]})[0]
        np.testing.assert_allclose(actual, expected, atol=1e-4)
