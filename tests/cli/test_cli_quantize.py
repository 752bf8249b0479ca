# SPDX-License-Identifier: Apache-2.0
"""A float model from the command line: quantize, and compile with --calibration."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_model import only_json

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

USAGE = 2
SHAPE = (1, 2, 8, 6)


@pytest.fixture(scope="module")
def float_model(tmp_path_factory):
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 0.3, (4, 2, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "conv", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("GlobalAveragePool", ["b"], ["c"], "pool"),
        helper.make_node("Flatten", ["c"], ["y"], "flatten"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *SHAPE[1:]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path_factory.mktemp("float") / "float.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    path = tmp_path_factory.mktemp("samples") / "samples.npz"
    x = np.random.default_rng(1).normal(0, 1, (12, *SHAPE[1:])).astype(np.float32)
    np.savez(path, x=x, y=np.zeros(12, np.int64))
    return path


def sentence(result, *fragments):
    assert result.exit_code == USAGE, result.stderr
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    for fragment in fragments:
        assert fragment in last, last
    return True


def test_quantize_writes_a_model_that_compile_reads(cli, float_model, samples, tmp_path):
    out = tmp_path / "new" / "quantized.onnx"
    result = cli("quantize", float_model, "--calibration", samples, "-o", out, "--json")
    assert result.exit_code == 0, result.stderr
    values = only_json(result.stdout)
    assert values["scheme"] == "int8"
    assert values["bytes"] == out.stat().st_size
    assert [entry.name for entry in out.parent.iterdir()] == ["quantized.onnx"]
    again = cli("quantize", out, "--calibration", samples, "-o", tmp_path / "b.onnx")
    assert sentence(again, "is quantized already")


def test_compile_quantizes_a_float_model_with_calibration(cli, float_model, samples, tmp_path):
    options = ("--target", "nucleo-f446re", "-o", tmp_path / "p", "--calibration", samples)
    result = cli("compile", float_model, *options)
    assert result.exit_code == 0, result.stderr
    assert cli("verify", tmp_path / "p").exit_code == 0


def test_doubtful_samples_are_told_on_stderr(cli, float_model, samples, tmp_path):
    x = np.load(samples)["x"]
    x[3, 0, 2, 2] = 1000.0
    np.savez(tmp_path / "x.npz", x=x)
    words = ("--calibration", tmp_path / "x.npz", "-o")
    for command in (
        ("compile", float_model, "--target", "nucleo-f446re", *words, tmp_path / "p"),
        ("quantize", float_model, *words, tmp_path / "q.onnx"),
    ):
        result = cli(*command)
        assert result.exit_code == 0
        lines = " ".join(result.stderr.split())
        assert "warning: calibration sample 3 reaches 1000 in tensor x" in lines


def test_a_float_model_without_calibration_is_told_the_option(cli, float_model, tmp_path):
    result = cli("compile", float_model, "--target", "nucleo-f446re", "-o", tmp_path / "p")
    assert sentence(result, "--calibration X.npz")
    assert not (tmp_path / "p").exists()


def test_a_quantized_model_with_calibration_is_refused(cli, model, samples, tmp_path):
    options = ("--target", "nucleo-f446re", "-o", tmp_path / "p", "--calibration", samples)
    assert sentence(cli("compile", model, *options), "is quantized already")
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        (("--scheme", "w9"), "no quantization scheme is called 'w9'; known: int8"),
        (("--calibration", "none.npz"), "cannot read none.npz"),
        (("-o", "out.bin"), "ending in .onnx"),
    ],
)
def test_bad_options_of_quantize_leave_no_file(
    cli, float_model, samples, tmp_path, monkeypatch, options, fragment
):
    monkeypatch.chdir(tmp_path)
    words = ["quantize", float_model, "--calibration", samples, "-o", "out.onnx", *options]
    assert sentence(cli(*words), fragment)
    assert list(tmp_path.iterdir()) == []


def test_samples_that_do_not_fit_leave_no_file(cli, float_model, tmp_path):
    np.savez(tmp_path / "s.npz", x=np.zeros((3, *SHAPE[1:]), np.int8))
    out = tmp_path / "out.onnx"
    result = cli("quantize", float_model, "--calibration", tmp_path / "s.npz", "-o", out)
    assert sentence(result, "array x is int8 (3, 2, 8, 6)")
    assert not out.exists()


def test_a_model_is_not_overwritten_by_its_quantized_form(cli, float_model, samples):
    before = float_model.read_bytes()
    result = cli("quantize", float_model, "--calibration", samples, "-o", float_model)
    assert sentence(result, "is the model itself")
    assert float_model.read_bytes() == before
