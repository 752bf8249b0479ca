# SPDX-License-Identifier: Apache-2.0
"""Each layer of Keras as TFLite has it: with batch 1 and a free one, int8, dynamic-range and float.

keras_files.zip is made by make_keras_files.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from keras_layers import NAMES, obstacle, parts, stored
from tflite_models import litert as answers

from tinytailor.compiler import execute, load_model
from tinytailor.compiler.mcu.interface import entry_of
from tinytailor.compiler.real_values import quantized
from tinytailor.compiler.references import litert
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

SAMPLES = 30
NEAR = 0.06  # of a quantized layer to the float one, in ranges of its results


def extracted(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(stored(name))
    return path


def shape_of_input(path: Path) -> tuple[int, ...]:
    return tuple(int(size) for size in litert(path).get_input_details()[0]["shape"][1:])


IMPORTED = [name for name in NAMES if not obstacle(name)]
INT8 = [name for name in IMPORTED if parts(name)[2] == "int8"]
REAL = [name for name in IMPORTED if parts(name)[2] != "int8"]


@pytest.mark.parametrize("name", INT8)
def test_an_int8_layer_is_within_one_step_of_litert(name: str, tmp_path: Path) -> None:
    path = extracted(name, tmp_path)
    graph = load_model(path)
    rng = np.random.default_rng(1)
    x = rng.integers(-128, 128, (SAMPLES, *shape_of_input(path))).astype(np.int8)
    expected = answers(path, [x])[0].astype(np.int32)
    (actual,) = execute(graph, x.reshape(SAMPLES, *graph.tensors[graph.inputs[0]].shape[1:]))
    assert graph.tensors[graph.outputs[0]].shape[1:] == expected.shape[1:]
    steps = np.abs(actual.astype(np.int32) - expected)
    assert steps.max() <= 1
    assert np.mean(steps > 0) <= 0.06


@pytest.mark.parametrize("name", REAL)
def test_a_real_layer_is_quantized_near_litert(name: str, tmp_path: Path) -> None:
    path = extracted(name, tmp_path)
    x = np.random.default_rng(2).normal(size=(SAMPLES, *shape_of_input(path))).astype(np.float32)
    graph = load_model(path, calibration=x)
    source, target = (graph.tensors[names[0]] for names in (graph.inputs, graph.outputs))
    rows = x.reshape(SAMPLES, *source.shape[1:])
    integers = quantized(rows, entry_of(graph, source.name), source.zero_point)
    (actual,) = execute(graph, integers)
    (expected,) = answers(path, [x])
    assert target.shape[1:] == expected.shape[1:]
    real = (actual.astype(np.float32) - target.zero_point) * target.scale
    assert np.abs(real - expected).max() <= NEAR * np.ptp(expected)


def test_a_free_batch_makes_no_difference_to_what_is_imported() -> None:
    layers = {(layer, kind) for layer, _, kind in map(parts, NAMES)}
    free = {parts(name)[::2] for name in NAMES if parts(name)[1] == "free"}
    fixed = {parts(name)[::2] for name in NAMES if parts(name)[1] == "1"}
    assert free == fixed == layers


@pytest.mark.parametrize("name", [name for name in NAMES if obstacle(name)])
def test_what_has_no_integer_form_is_refused_by_name(name: str, tmp_path: Path) -> None:
    path = extracted(name, tmp_path)
    kind, operator = parts(name)[2], obstacle(name)
    x = np.random.default_rng(2).normal(size=(SAMPLES, *shape_of_input(path))).astype(np.float32)
    with pytest.raises(InputError, match=rf"(?is)no integer form:.*\n +{operator} "):
        load_model(path, calibration=None if kind == "int8" else x)


def test_tensors_without_names_or_of_one_name_are_told_apart(tmp_path: Path) -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    import flatbuffers

    path = extracted("SeparableConv2D-1-int8.tflite", tmp_path)
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    expected = load_model(path)
    for names in ((None,), (b"same",)):
        for index, tensor in enumerate(model.subgraphs[0].tensors):
            tensor.name = names[index % len(names)]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        graph = load_model(path)
        assert [node.op for node in graph.nodes] == [node.op for node in expected.nodes]
        x = np.random.default_rng(0).integers(-128, 128, (4, 6, 5, 4)).astype(np.int8)
        np.testing.assert_array_equal(execute(graph, x)[0], execute(expected, x)[0])


def test_a_size_that_is_free_besides_the_batch_is_refused(tmp_path: Path) -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    import flatbuffers

    path = extracted("SeparableConv2D-free-int8.tflite", tmp_path)
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    source = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    source.shapeSignature, source.shape = [-1, -1, 5, 4], [1, 1, 5, 4]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    with pytest.raises(InputError, match="has a free size on axis 1; convert the model with"):
        load_model(path)
