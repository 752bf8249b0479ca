# SPDX-License-Identifier: Apache-2.0
"""Whatever bytes are given: a graph or one InputError with all reasons, never a traceback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from mutations import flipped
from onnx import helper
from qdq_models import Model

from tinytailor.compiler import load_model
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]


def message(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_model(path)
    return str(caught.value)


def test_all_unsupported_operators_are_listed_at_once(tmp_path: Path) -> None:
    model = Model()
    x = model.input((1, 1, 8, 8))
    a = model.quantized(model.node("Tan", [x], "/block1/gelu"), 0.1)
    b = model.quantized(model.node("Conv", [a, a], "/dynamic"), 0.1)
    c = model.quantized(model.node("Shrink", [b], "/gate"), 0.1)
    text = message(model.save(tmp_path / "model.onnx", c))
    lines = text.splitlines()
    assert lines[0] == "3 operators have no integer form:"
    assert lines[-1] == "nothing was written."
    found = [line.split()[:3] for line in lines[1:-1]]
    assert ["Tan", "node", "/block1/gelu"] in found
    assert ["Conv", "node", "/dynamic"] in found
    assert ["Shrink", "node", "/gate"] in found
    assert "its weight is computed by the model, expected a constant" in text


def test_an_operator_without_a_name_is_found_by_its_output(tmp_path: Path) -> None:
    model = Model()
    y = model.node("Tan", [model.input((1, 4))])
    model.nodes[-1].name = ""
    assert f"Tan  output {y}" in message(model.save(tmp_path / "model.onnx", y))


def test_operators_of_other_domains_carry_their_domain(tmp_path: Path) -> None:
    model = Model()
    x = model.input((1, 4))
    model.nodes.append(helper.make_node("QGelu", [x], ["y"], "/act", domain="com.example"))
    path = model.save(tmp_path / "model.onnx", "y", domains=("com.example",))
    assert "com.example.QGelu  node /act  (opset 1)" in message(path)


def test_a_float_model_is_told_to_quantize(tmp_path: Path) -> None:
    model = Model()
    model.inputs.append(helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4]))
    path = model.save(tmp_path / "model.onnx", model.node("Relu", ["x"]))
    assert "--calibration" in message(path)


def test_a_layer_without_quantization_after_it_is_named(tmp_path: Path) -> None:
    model = Model()
    y = model.conv(model.input((1, 2, 4, 4)), (2, 2, 1, 1), name="/last")
    text = message(model.save(tmp_path / "model.onnx", y))
    assert "node /last" in text
    assert "its result is not quantized" in text


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((1, 3, "height", 8), "dynamic size height on axis 2"),
        ((2, 3, 8, 8), "expected batch 1"),
    ],
)
def test_input_shapes_must_be_fixed_with_batch_one(shape, reason, tmp_path: Path) -> None:
    model = Model()
    y = model.quantized(model.conv(model.input(shape), (2, 3, 1, 1)), 0.1)
    assert reason in message(model.save(tmp_path / "model.onnx", y))


def test_four_bit_activations_are_refused(tmp_path: Path) -> None:
    model = Model()
    x = model.input((1, 4))
    model.constants.append(helper.make_tensor("z", onnx.TensorProto.INT4, [], [0]))
    q = model.node("QuantizeLinear", [x, model.constant("s", np.float32(0.1)), "z"])
    y = model.node("DequantizeLinear", [q, "s", "z"])
    assert "4 bits" in message(model.save(tmp_path / "model.onnx", y, opset=21))


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite"])
@pytest.mark.parametrize("data", [b"", b"\0", b"TFL3" * 20, b"\x18\0\0\0TFL3" + b"\xff" * 99])
def test_bytes_that_are_no_model_are_one_clear_error(name, data, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    text = message(path)
    assert name in text
    assert "\n" not in text
    assert ("empty" if not data else "cannot be read as a") in text


def test_missing_files_folders_and_other_endings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "model.pt").write_bytes(b"x")
    assert "no such file" in message(tmp_path / "none.onnx")
    assert "folder" in message(tmp_path / "folder.onnx")
    assert ".onnx or .tflite" in message(tmp_path / "model.pt")


@pytest.mark.parametrize("kind", ["Concat", "MaxPool", "Pad", "Sigmoid", "Add"])
def test_an_operator_without_one_of_its_inputs_is_named(kind, tmp_path: Path) -> None:
    model = Model()
    x = model.input((1, 2, 4, 4))
    inputs = [x, ""] if kind == "Concat" else ["", x]
    attributes = {"axis": 1} if kind == "Concat" else {}
    y = model.node(kind, inputs, "/broken", **attributes)
    text = message(model.save(tmp_path / "model.onnx", model.quantized(y, 0.1)))
    assert "/broken" in text or "model.onnx" in text


def small_onnx(path: Path) -> bytes:
    model = Model()
    x = model.input((1, 4, 6, 6))
    a = model.quantized(model.conv(x, (4, 4, 3, 3), pads=[1, 1, 1, 1]), 0.1)
    b = model.quantized(model.node("Add", [x, a]), 0.1)
    c = model.quantized(model.node("GlobalAveragePool", [b]), 0.1)
    flat = model.node("Flatten", [c])
    model.scales[flat] = model.scales[c]
    return model.save(path, model.quantized(model.gemm(flat, (3, 4)), 0.1)).read_bytes()


def outcome(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    try:
        load_model(path)
    except InputError:
        return "InputError"
    return "Graph"


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_damaged_files_print_nothing(kind: str, tmp_path: Path, data_folder, capfd) -> None:
    """test_damaged_files.py tries far more of them, in processes of their own."""
    path = tmp_path / f"model.{kind}"
    if kind == "onnx":
        data = small_onnx(path)
    else:
        data = (data_folder / "mlperf_tiny" / "models" / "kws_int8.tflite").read_bytes()
    rng = np.random.default_rng(0)
    results = [outcome(path, flipped(data, rng)) for _ in range(20)]
    assert set(results) == {"Graph", "InputError"}
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""
