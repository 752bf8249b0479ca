# SPDX-License-Identifier: Apache-2.0
"""What inspect_model accepts, refuses and does not know is what the importer does."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "frontend"))
sys.path.insert(0, str(Path(__file__).parents[1] / "quantize"))

from float_models import Floats
from inspected import FREE, IMAGE, cases_of, forms, keras, written
from keras_layers import obstacle, parts, stored
from qdq_models import Model
from tflite_float_models import case, model_of

from tinytailor.compiler import inspect_model, load_model
from tinytailor.compiler.frontend.report import ALLOW_FLOAT, UnsupportedError
from tinytailor.compiler.inspection import places_of
from tinytailor.compiler.inspection.record import FileOperator
from tinytailor.targets.errors import Doubt, InputError

pytestmark = [pytest.mark.tvm]


@pytest.fixture(scope="module")
def cases(data_folder: Path) -> Path:
    return cases_of(data_folder)


@pytest.mark.parametrize("name", FREE)
def test_a_file_is_accepted_if_it_can_be_loaded(name, tmp_path):
    found = inspect_model(keras(name, tmp_path))
    assert (found.accepted and "--allow-float" not in found.needs) == (not obstacle(name))
    assert found.tried == ("as it is" if parts(name)[2] == "int8" else "random samples")
    if obstacle(name):
        assert obstacle(name) in {item.operator for item in found.refused}
    else:
        assert set(found.forms) == {"integer"}
        assert found.macs_unknown == 0
        assert found.macs == sum(layer.macs for layer in found.graph.layers)


def unsupported(folder: Path) -> Path:
    """Operators without any form, with one in float, and of a computed weight."""
    m = Model()
    a = m.quantized(m.node("Tan", [m.input((1, 1, 8, 8))], "/block1/gelu"), 0.1)
    b = m.quantized(m.node("Conv", [a, a], "/dynamic"), 0.1)
    c = m.quantized(m.node("LRN", [b], "/logits", size=3), 0.1)
    return m.save(folder / "model.onnx", m.quantized(m.node("Shrink", [c], "/gate"), 0.1))


def test_all_refused_operators_are_those_of_the_importer(tmp_path):
    path = unsupported(tmp_path)
    with pytest.raises(UnsupportedError) as caught:
        load_model(path)
    expected = {
        (item.origin.operator, item.origin.place): ALLOW_FLOAT in item.hint
        for item in caught.value.items
    }
    found = inspect_model(path)
    assert {(item.operator, item.place): item.allow_float for item in found.refused} == expected
    assert (len(expected), found.accepted, found.needs, found.graph) == (4, False, (), None)
    known = {kind: of_kind[0] for kind, of_kind in forms(found).items()}
    assert known["Tan"] == known["Shrink"] == "none"
    assert known["LRN"] == "float"
    assert known["QuantizeLinear"] == "integer"
    assert all(item.reason for item in found.refused)


def test_what_follows_a_refused_operator_unquantized_was_not_tried(tmp_path):
    m = Model()
    x = m.quantized(m.conv(m.input(IMAGE), (4, 3, 1, 1)), 0.1)
    y = m.quantized(m.node("Sigmoid", [m.node("Tan", [x])]), 1 / 256, -128)
    found = forms(inspect_model(m.save(tmp_path / "m.onnx", y)))
    assert (found["Conv"], found["Tan"], found["Sigmoid"]) == (["integer"], ["none"], [None])


def test_what_is_computed_in_float_with_its_neighbour_says_so(tmp_path):
    m = Model()
    x = m.quantized(m.conv(m.input(IMAGE), (4, 3, 1, 1)), 0.1)
    y = m.quantized(m.node("Sigmoid", [m.node("LRN", [x], size=3)]), 1 / 256, -128)
    path = m.save(tmp_path / "m.onnx", y)
    found = inspect_model(path)
    assert (found.accepted, found.needs) == (True, ("--allow-float",))
    assert forms(found)["LRN"] == forms(found)["Sigmoid"] == ["float"]
    assert found.graph.operators >= len(load_model(path, allow_float=True).nodes) - 3
    assert "float" in {layer.operator for layer in found.graph.layers}


def test_a_float_onnx_model_says_operator_by_operator_what_it_would_be(tmp_path):
    m = Floats()
    a = m.batch_norm(m.conv(m.input("x", ("N", *IMAGE[1:])), (4, 3, 3, 3)), 4)
    b = m.node("Relu", [m.node("Tan", [a])])
    c = m.node("LRN", [b], size=3)
    found = inspect_model(written(m.bytes(c), tmp_path))
    assert (found.tried, found.accepted, found.needs) == (
        "random samples",
        False,
        ("--calibration",),
    )
    known = {kind: of_kind[0] for kind, of_kind in forms(found).items()}
    assert known["Tan"] == "none"
    assert known["LRN"] == "float"
    assert known["Conv"] == known["BatchNormalization"] == "integer"
    assert {(item.operator, item.place) for item in found.refused} == {
        ("Tan", "node /Tan_2"),
        ("LRN", "node /LRN_4"),
    }


def test_operators_of_a_float_tflite_file_keep_their_names(tmp_path):
    """They are tried as ONNX, whose operators are called otherwise."""
    path = tmp_path / "model.tflite"
    path.write_bytes(model_of(case("DIV", [IMAGE, IMAGE], IMAGE, "DivOptions")))
    found = inspect_model(path)
    own = {(operator.kind, operator.place) for operator in found.file.operators}
    assert found.refused
    assert {(item.operator, item.place) for item in found.refused} <= own
    assert set(found.forms) == {"float"}


@pytest.mark.parametrize(
    ("key", "places"),
    [
        (("Mul", "block"), [0]),
        (("Transpose", "block/Transpose_0"), [0]),
        (("Relu", "block/act/Relu_7"), [1]),
        (("ADD", "twice"), [2]),
        (("Relu", "twice"), [2, 3]),
        (("Relu", "other"), []),
    ],
)
def test_what_a_trial_names_is_found_in_the_file(key, places):
    """Several operators are written for one of a float TFLite file, named behind its tensor."""
    named = [("MUL", "block"), ("RELU", "block/act"), ("ADD", "twice"), ("SUB", "twice")]
    operators = [FileOperator(name, kind, f"tensor {name}", name, None, 0) for kind, name in named]
    assert places_of(operators, key) == places


def test_models_that_only_some_random_numbers_suit_are_tried_with_those(tmp_path):
    m = Floats()
    roots = m.node("Sqrt", [m.input("x", IMAGE)])  # of negative numbers there are none
    found = inspect_model(written(m.bytes(m.conv(roots, (4, 3, 1, 1))), tmp_path))
    assert (found.accepted, found.tried, found.problems) == (True, "random samples", ())
    clamp = keras("Activation_relu-1-float.tflite", tmp_path)  # of positive ones it does nothing
    assert inspect_model(clamp).accepted


def test_a_float_model_is_tried_with_the_samples_given(tmp_path):
    m = Floats()
    path = written(m.bytes(m.conv(m.input("x", IMAGE), (4, 3, 1, 1))), tmp_path)
    x = np.random.default_rng(0).normal(size=(3, *IMAGE[1:])).astype(np.float32)
    found = inspect_model(path, {"x": x})
    assert (found.tried, found.accepted, found.needs) == ("samples", True, ("--calibration",))
    assert inspect_model(path, x) == found
    with pytest.raises(InputError, match=r"calibration: array x is float32 \(3, 8, 8, 3\)"):
        inspect_model(path, x.transpose(0, 2, 3, 1))
    with pytest.warns(Doubt, match="is 0 on every calibration sample"):
        inspect_model(path, x * 0)


def test_channels_are_only_left_out_for_what_real_samples_show(tmp_path):
    """Of a channel with a large negative bias nothing is left behind a ReLU: on these samples."""
    m = Floats()
    bias = m.constant(np.array([-1000, 0, 0, 0, 0], np.float32))
    weight = m.constant(np.full((5, 3, 1, 1), 0.1, np.float32))
    a = m.node("Relu", [m.node("Conv", [m.input("x", IMAGE), weight, bias])])
    path = written(m.bytes(m.conv(a, (2, 5, 1, 1))), tmp_path)
    x = np.random.default_rng(0).normal(size=(3, *IMAGE[1:])).astype(np.float32)
    guess, known = inspect_model(path), inspect_model(path, x)
    assert guess.graph.macs == guess.macs == known.macs > known.graph.macs


def test_random_samples_warn_of_nothing(tmp_path):
    m = Floats()
    y = m.conv(
        m.node("Relu", [m.node("Neg", [m.node("Relu", [m.input("x", IMAGE)])])]), (2, 3, 1, 1)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = inspect_model(written(m.bytes(y), tmp_path))
    assert (found.tried, found.accepted, found.problems) == ("random samples", True, ())


def test_samples_for_a_quantized_model_are_refused(tmp_path):
    path = keras("Dense-1-int8.tflite", tmp_path)
    with pytest.raises(InputError, match=r"is quantized already: .* without --calibration"):
        inspect_model(path, np.zeros((2, 8), np.float32))


def test_what_keeps_the_importer_from_its_operators_is_a_problem_beside_them(tmp_path):
    m = Model()
    y = m.node("Tan", [m.quantized(m.conv(m.input((2, *IMAGE[1:])), (4, 3, 1, 1)), 0.1)], "/tan")
    found = inspect_model(m.save(tmp_path / "m.onnx", y))
    assert found.problems == ("m.onnx: input x has shape (2, 3, 8, 8), expected batch 1 in front",)
    assert [item.operator for item in found.refused] == ["Tan"]
    assert forms(found)["Conv"] == [None]
    conv = next(operator for operator in found.file.operators if operator.kind == "Conv")
    assert (conv.shape, conv.macs) == ((2, 4, 8, 8), 2 * 64 * 12)


def test_an_input_that_fits_no_device_is_not_tried(tmp_path):
    m = Floats()
    y = m.conv(m.input("x", (1, 3, 1 << 15, 1 << 15)), (4, 3, 1, 1))
    found = inspect_model(written(m.bytes(y), tmp_path))
    assert (found.tried, found.accepted) == (None, False)
    assert found.problems == ("input x has shape (1, 3, 32768, 32768), which fits no device",)


def test_int16_activations_are_refused_with_the_reason(cases):
    found = inspect_model(cases / "12-int16x8.tflite")
    assert (found.accepted, found.file.quantization.form) == (False, "int16")
    assert "quantized with int16 activations" in found.problems[0]
    assert {operator.kind for operator in found.file.operators} > {"CONV_2D", "FULLY_CONNECTED"}
    assert set(found.forms) == {None}


def test_control_flow_is_a_problem_of_a_readable_file(tmp_path):
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    import flatbuffers

    model = schema.ModelT.InitFromPackedBuf(stored("Dense-1-int8.tflite"), 0)
    model.subgraphs.append(model.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    found = inspect_model(written(bytes(builder.Output()), tmp_path, "two.tflite"))
    assert found.problems == ("two.tflite has 2 subgraphs, expected 1 (no control flow)",)
    assert found.macs == 8 * 5


def test_plain_data_comes_out_and_the_same_again(tmp_path):
    path = unsupported(tmp_path)
    values = inspect_model(path).to_json()
    text = json.dumps(values)
    assert text == json.dumps(inspect_model(path).to_json())
    again = json.loads(text)
    assert again["operators"][0]["operator"] == "QuantizeLinear"
    assert sum(kind["count"] for kind in again["operators"]) == len(again["layers"])
