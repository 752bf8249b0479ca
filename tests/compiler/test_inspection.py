# SPDX-License-Identifier: Apache-2.0
"""What inspect_model says of a file is what other tools find in it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).parents[1] / "frontend"))
sys.path.insert(0, str(Path(__file__).parents[1] / "quantize"))

from float_models import Floats
from inspected import FREE, IMAGE, cases_of, forms, keras, written
from keras_layers import stored
from mutations import flipped
from qdq_models import Model

from tinytailor.compiler import inspect_model
from tinytailor.compiler.inspection.products import onnx_macs, tflite_macs
from tinytailor.compiler.references import litert
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]


@pytest.fixture(scope="module")
def cases(data_folder: Path) -> Path:
    return cases_of(data_folder)


@pytest.mark.parametrize("name", FREE)
def test_shapes_behind_a_free_batch_are_those_that_litert_computes(name, tmp_path):
    """What the file says of them is a guess."""
    pytest.importorskip("ai_edge_litert")
    path = keras(name, tmp_path)
    session = litert(path, all_tensors=True)
    (source,) = session.get_input_details()
    session.set_tensor(source["index"], np.zeros(source["shape"], source["dtype"]))
    session.invoke()
    places = {detail["name"]: detail["index"] for detail in session.get_tensor_details()}
    operators = inspect_model(path).file.operators
    known = [operator for operator in operators if operator.shape is not None]
    for operator in known:
        assert operator.shape == session.get_tensor(places[operator.name]).shape, operator
    inside = [operator.kind for operator in operators if operator.shape is None]
    assert bool(inside) == ("dilated" in name)  # of convolutions that are put together again


@pytest.mark.parametrize(
    "name",
    [
        "mlperf_tiny/models/kws_int8.tflite",
        "mlperf_tiny/onnx/micro_kws_m_static_qdq.onnx",
        "mlperf_tiny/onnx/alibaba_kws.onnx",
        "mlperf_tiny/models/micro_kws_m_int8.tflite",
    ],
)
def test_macs_of_a_file_are_those_of_the_integer_graph(name, data_folder):
    found = inspect_model(data_folder / name)
    assert found.accepted
    assert found.macs == found.graph.macs > 500_000


@pytest.mark.parametrize(
    ("kind", "inputs", "output", "expected"),
    [
        ("Conv", [(1, 4, 9, 9), (6, 2, 3, 3)], (1, 6, 7, 7), 7 * 7 * 6 * 2 * 9),
        ("ConvTranspose", [(1, 4, 5, 5), (4, 3, 2, 2)], (1, 6, 10, 10), 25 * 4 * 3 * 4),
        ("Gemm", [(8, 1), (8, 5)], (1, 5), 8 * 5),  # transA
        ("MatMul", [(2, 3, 4), (2, 4, 5)], (2, 3, 5), 2 * 3 * 4 * 5),
        ("QLinearConv", [(1, 4, 9, 9), (), (), (6, 4, 1, 1)], (1, 6, 9, 9), 81 * 6 * 4),
        ("Relu", [(1, 4)], (1, 4), 0),
        ("Conv", [(1, 4, 9, 9), None], (1, 6, 7, 7), None),
        ("Conv", [(1, 4, 9, 9), (6, 4, 3, 3)], (1, 6, None, 7), None),
        ("MatMul", [(), (4, 5)], (3, 5), None),
        ("LSTM", [(5, 1, 3), (1, 16, 3)], (5, 1, 1, 4), None),
        ("Einsum", [(5, 3), (3, 2)], (5, 2), None),
    ],
)
def test_macs_of_onnx_operators(kind, inputs, output, expected):
    assert onnx_macs(kind, inputs, output) == expected


@pytest.mark.parametrize(
    ("kind", "inputs", "output", "expected"),
    [
        ("CONV_2D", [(1, 9, 9, 4), (6, 3, 3, 4)], (1, 7, 7, 6), 49 * 6 * 9 * 4),
        ("DEPTHWISE_CONV_2D", [(1, 9, 9, 4), (1, 3, 3, 8)], (1, 7, 7, 8), 49 * 8 * 9),
        ("TRANSPOSE_CONV", [(4,), (6, 2, 2, 4), (1, 5, 5, 4)], (1, 10, 10, 6), 25 * 4 * 4 * 6),
        ("FULLY_CONNECTED", [(3, 8), (5, 8)], (3, 5), 3 * 8 * 5),
        ("BATCH_MATMUL", [(2, 4, 3), (2, 4, 5)], (2, 3, 5), 2 * 3 * 4 * 5),  # the first turned
        ("CONV_3D", [(1, 4, 6, 6, 2), (3, 3, 3, 2, 5)], (1, 2, 4, 4, 5), 32 * 27 * 2 * 5),
        ("SOFTMAX", [(1, 4)], (1, 4), 0),
        ("FULLY_CONNECTED", [(3, 8), None], (3, 5), None),
        ("BATCH_MATMUL", [(2, 4, 3), (2, 4, 5)], (2, 0, 5), None),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", [(1, 4, 3)], (1, 4, 5), None),
    ],
)
def test_macs_of_tflite_operators(kind, inputs, output, expected):
    assert tflite_macs(kind, inputs, output) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Conv2D-1-int8", "int8: activations int8, weights int8 with a scale for each channel"),
        ("Conv2D-1-float", "float: activations float, weights float32"),
        ("Dense-1-int8", "int8: activations int8, weights int8 with a scale for each channel"),
        ("UpSampling2D_bilinear-1-int8", "int8: activations int8"),
    ],
)
def test_the_quantization_of_a_tflite_file_is_one_line(name, text, tmp_path):
    assert inspect_model(keras(f"{name}.tflite", tmp_path)).file.quantization.text == text


@pytest.mark.parametrize(
    ("name", "form", "weights"),
    [
        ("models/kws_float32.tflite", "dynamic-range", ("float32", "int8")),
        ("onnx/micro_kws_m_static_qoperator.onnx", "QOperator", ("int8",)),
        ("onnx/micro_kws_m_static_qdq.onnx", "QDQ", ("int8",)),
        ("onnx/micro_kws_m_static_fp32.onnx", "float", ("float32",)),
    ],
)
def test_forms_of_quantization(name, form, weights, data_folder):
    found = inspect_model(data_folder / "mlperf_tiny" / name).file.quantization
    assert (found.form, found.weights) == (form, weights)


def test_parameters_are_counted_without_scales_and_shapes(tmp_path):
    m = Model()
    y = m.quantized(m.conv(m.input(IMAGE), (4, 3, 3, 3)), 0.1)
    shape = m.constant("shape", np.array([1, -1], np.int64))
    y = m.quantized(m.node("Reshape", [y, shape]), 0.1)
    found = inspect_model(m.save(tmp_path / "m.onnx", y))
    assert (found.file.parameters, found.file.weight_bytes) == (4 * 27 + 4, 4 * 27 + 4 * 4)
    assert found.bytes == (tmp_path / "m.onnx").stat().st_size


def test_weights_of_two_to_a_byte_take_half_a_byte(tmp_path):
    m = Model()
    x = m.input((1, 5))
    weights = np.ones(15, np.int8)
    m.constants.append(helper.make_tensor("w", TensorProto.INT4, [3, 5], weights))
    m.constants.append(helper.make_tensor("z", TensorProto.INT4, [], [0]))
    w = m.node("DequantizeLinear", ["w", m.constant("s", np.float32(0.1)), "z"])
    y = m.quantized(m.node("Gemm", [x, w], transB=1), 0.1)
    file = inspect_model(m.save(tmp_path / "m.onnx", y, opset=21)).file
    assert (file.parameters, file.weight_bytes, file.quantization.weights) == (15, 8, ("int4",))


def test_a_free_batch_is_free_and_inputs_have_the_scale_they_are_quantized_with(tmp_path):
    m = Model()
    m.inputs.append(helper.make_tensor_value_info("in", TensorProto.FLOAT, ["N", 2, 12]))
    shape = m.constant("shape", np.array([1, 2, 3, 4], np.int64))
    x = m.quantized(m.node("Reshape", ["in", shape]), 0.5, -3)
    y = m.quantized(m.conv(x, (4, 2, 1, 1), name="conv"), 0.25, 7)
    found = inspect_model(m.save(tmp_path / "m.onnx", m.node("Flatten", [y], "end")))
    (source,), (result,) = found.file.inputs, found.file.outputs
    assert (source.name, source.shape, source.type) == ("in", (None, 2, 12), "float32")
    assert (source.integers, source.scale, source.zero_point) == ("int8", 0.5, -3)
    assert (result.name, result.integers, result.scale) == ("end_out", "int8", 0.25)
    conv = next(operator for operator in found.file.operators if operator.name == "conv")
    assert (conv.shape, conv.macs) == ((1, 4, 3, 4), 12 * 8)


def test_integer_inputs_and_what_quantize_makes_of_float_ones(tmp_path, cases):
    source = inspect_model(keras("Flatten-free-int8.tflite", tmp_path)).file.inputs[0]
    assert (source.shape, source.type, source.integers) == ((None, 6, 5, 4), "int8", "int8")
    (detail,) = litert(tmp_path / "Flatten-free-int8.tflite").get_input_details()
    assert (source.scale, source.zero_point) == detail["quantization"]
    source = inspect_model(cases / "12-int16x8.tflite").file.inputs[0]
    assert (source.type, source.integers, source.zero_point) == ("float32", "int16", 0)


def test_free_sizes_besides_the_batch_leave_shapes_open_and_macs_unknown(tmp_path):
    m = Model()
    x = m.input(("N", 3, "height", 8))
    found = inspect_model(m.save(tmp_path / "m.onnx", m.quantized(m.conv(x, (4, 3, 1, 1)), 0.1)))
    assert found.file.inputs[0].shape == (None, 3, None, 8)
    conv = next(operator for operator in found.file.operators if operator.kind == "Conv")
    assert (conv.shape, conv.macs, found.macs_unknown) == ((1, 4, None, 8), None, 1)
    assert "dynamic size height on axis 2" in found.problems[0]


def test_an_operator_in_float_between_integers_is_counted(cases):
    found = inspect_model(cases / "10-conv3d-optional-input.tflite")
    assert found.file.quantization.text.endswith(", 1 operator computes in float")
    assert [(item.operator, item.allow_float) for item in found.refused] == [("CONV_3D", False)]


def test_operators_of_functions_of_the_model_are_listed(cases):
    found = inspect_model(cases / "15-onnx-local-function.onnx")
    assert found.accepted
    assert "Conv" in forms(found)
    assert found.macs == found.graph.macs == 3240


def test_constants_that_are_computed_take_no_macs(tmp_path):
    m = Floats()
    x = m.input("x", ("N", 8))
    ones = m.node("ConstantOfShape", [m.constant(np.array([8, 3], np.int64))])
    found = inspect_model(written(m.bytes(m.node("MatMul", [x, ones])), tmp_path))
    assert {o.kind: o.macs for o in found.file.operators} == {"ConstantOfShape": 0, "MatMul": 24}


def test_versions_and_producer_are_those_of_the_file(tmp_path, data_folder):
    found = inspect_model(data_folder / "mlperf_tiny" / "onnx" / "micro_kws_m_static_qdq.onnx")
    assert found.file.format.versions == {"ir": 8, "ai.onnx": 15, "ai.onnx.ml": 2}
    assert found.file.format.producer == "onnx.quantize 0.1.0"
    found = inspect_model(keras("Dense-1-int8.tflite", tmp_path))
    assert found.file.format.producer == "MLIR Converted."
    assert found.file.format.versions["schema"] == 3


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite"])
@pytest.mark.parametrize("data", [b"", b"\0", b"TFL3" * 20, b"\x18\0\0\0TFL3" + b"\xff" * 99])
def test_bytes_that_are_no_model_are_one_sentence(name, data, tmp_path):
    with pytest.raises(InputError) as caught:
        inspect_model(written(data, tmp_path, name))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ("empty" if not data else "cannot be read as a") in str(caught.value)


def test_damaged_files_end_in_a_sentence_or_in_facts(tmp_path):
    rng = np.random.default_rng(0)
    ends = set()
    for kind in ("int8", "float"):
        for _ in range(12):
            data = flipped(stored(f"Conv1D-free-{kind}.tflite"), rng)
            try:
                found = inspect_model(written(data, tmp_path, "m.tflite"))
                ends.add("accepted" if found.accepted else "refused")
                assert found.accepted or found.refused or found.problems
            except InputError:
                ends.add("sentence")
    assert ends >= {"accepted", "sentence"}
