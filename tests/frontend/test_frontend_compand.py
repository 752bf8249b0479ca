# SPDX-License-Identifier: Apache-2.0
"""Networks that read int16: the file against onnxruntime, what is imported, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from compand_models import CHANNELS, OP, SHAPE, STEP, constants_of, model, samples, saved
from onnx import TensorProto, helper, numpy_helper

import tinytailor as tt
from tinytailor.cli.inputs import load_inputs
from tinytailor.compiler import compile_model, load_model, verify
from tinytailor.compiler.execute import check_inputs, execute, execute_all
from tinytailor.compiler.frontend.onnx.compand import SAMPLES
from tinytailor.compiler.inspection import inspect_model
from tinytailor.compiler.ops.compand import Compand
from tinytailor.compiler.real_values import Standardization, dequantized, quantized
from tinytailor.compiler.references import onnx_session
from tinytailor.targets import load_target
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm, pytest.mark.emulator, pytest.mark.qemu]

OPS = {
    "all": Compand(5),
    "every third": Compand(2, 3, zero_point=9),
    "straight": Compand(4, 1, False, 0),
    "straight, every second": Compand(3, 2, False, 5),
}


@pytest.mark.parametrize("name", OPS)
def test_onnxruntime_computes_the_same_integers(name, tmp_path):
    made = model(OPS[name])
    onnx.checker.check_model(made, full_check=True)
    graph = load_model(saved(tmp_path / "imu.onnx", made))
    made.graph.output.append(helper.make_tensor_value_info("entry_q", TensorProto.INT8, None))
    session, x = onnx_session(made), samples(12)
    rows = [session.run(["entry_q"], {"imu": row[None].transpose(0, 3, 1, 2)})[0] for row in x]
    found = execute_all(graph, {"imu": x})[graph.nodes[0].output]
    assert len(np.unique(found)) > 40
    np.testing.assert_array_equal(found, np.concatenate(rows).transpose(0, 2, 3, 1))


def test_the_whole_network_is_that_of_onnxruntime(tmp_path):
    path = saved(tmp_path / "imu.onnx", model())
    graph, session, x = load_model(path), onnx_session(path), samples(12)
    (y,) = execute(graph, x)
    rows = [session.run(None, {"imu": row[None].transpose(0, 3, 1, 2)})[0] for row in x]
    steps = np.concatenate(rows) / np.float32(0.1)
    assert np.abs(y - np.rint(steps)).max() <= 1


def test_samples_are_an_input_of_the_graph_with_a_step_for_each_channel(tmp_path):
    graph = load_model(saved(tmp_path / "imu.onnx", model()))
    tensor, border = graph.tensors["imu"], graph.borders["imu"]
    assert (tensor.dtype, tensor.shape, border.dtype) == ("int16", SHAPE, "int16")
    assert border.real == Standardization.of(0.0, STEP, 3)
    entry, *rest = graph.nodes
    assert [node.op.kind for node in rest] == ["conv2d", "reshape", "dense"]
    assert entry.op == OP
    for role, array in constants_of().items():
        np.testing.assert_array_equal(entry.constants[role], array)
    assert (graph.tensors[entry.output].scale, graph.tensors[entry.output].zero_point) == (
        pytest.approx(0.05),
        -7,
    )


@pytest.mark.parametrize(("step", "real"), [([0.25], 0.25), ([0.25] * CHANNELS, 0.25), (None, 1)])
def test_one_step_for_all_is_a_scale(step, real, tmp_path):
    graph = load_model(saved(tmp_path / "imu.onnx", model(step=step)))
    way = graph.borders["imu"].real or Standardization.plain(graph.tensors["imu"].scale)
    assert way == Standardization.plain(real)


def test_the_file_can_be_inspected(tmp_path):
    path = saved(tmp_path / "imu.onnx", model())
    found = inspect_model(path)
    assert [record.type for record in found.file.inputs] == ["int16"]
    assert (found.accepted, found.tried) == (True, "as it is")
    assert found.macs_unknown == 0


# A project


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("compand")
    graph = load_model(saved(folder / "imu.onnx", model()))
    compile_model(graph, load_target("nucleo-f446re"), folder / "imu", "imu", model_sha256="")
    return folder / "imu"


def reals(rows: int) -> np.ndarray:
    """float32 in the units of STEP: ends of int16 and beyond, exact halves, and no numbers."""
    x = samples(rows).astype(np.float64) * 1.25
    x[1] = np.round(x[1]) + 0.5
    x *= STEP
    x[2].ravel()[:4] = np.nan, np.inf, -np.inf, 1e-42
    return x.astype(np.float32)


@pytest.mark.parametrize("on", ["host", "emulator", "qemu"])
def test_the_emitted_code_makes_the_same_samples_and_outputs(project, on):
    x = reals(4)
    q = quantized(x, Standardization.of(0.0, STEP, 3), 0, "int16")
    assert {-32768, 32767} <= set(q.ravel().tolist())
    assert verify(project, on, q, [x])["bit_exact"]
    q[3, 0, 0, 0] ^= 1
    assert verify(project, on, q, [x])["differing_inputs"] == 1


def test_header_manifest_and_main_say_that_samples_are_int16(project):
    header = (project / "imu.h").read_text()
    assert "void imu_invoke(const int16_t *input, int8_t *output);" in header
    assert "void imu_quantize_input(const float *x, int16_t *q);" in header
    assert f"#define IMU_INPUT_BYTES {2 * np.prod(SHAPE)}" in header
    assert (
        "static int16_t input[IMU_INPUT_BYTES / sizeof(int16_t)];"
        in (project / "main.c").read_text()
    )
    (border,) = json.loads((project / "manifest.json").read_text())["inputs"]
    assert (border["dtype"], border["bytes"]) == ("int16", 2 * np.prod(SHAPE))
    np.testing.assert_allclose(border["step"], STEP, rtol=1e-6)


def test_python_takes_samples_or_real_numbers(project):
    loaded, q = tt.load(project), samples(3)
    graph = loaded.compiled.graph
    (y,) = execute(graph, q)
    as_model = q.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(loaded.run(as_model, raw=True), y)
    x = (q * np.float32(STEP)).astype(np.float32).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(loaded.run(x, raw=True), y)
    output = graph.tensors[graph.outputs[0]]
    expected = dequantized(y[0], output.scale, output.zero_point)
    np.testing.assert_array_equal(loaded.run(as_model[0]), expected)
    with pytest.raises(InputError, match=r"is int8 .*the model reads int16 or float"):
        loaded.run(as_model.astype(np.int8))


def test_files_hold_samples_or_real_numbers(project, tmp_path):
    manifest, q = json.loads((project / "manifest.json").read_text()), samples(3)
    x = (q * np.float32(STEP)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=q, real=x)
    read = load_inputs(tmp_path / "x.npz", manifest)
    np.testing.assert_array_equal(read.batches[0], q)
    assert read.reals == (None,)
    read = load_inputs(tmp_path / "x.npz", manifest, name="real")
    np.testing.assert_array_equal(read.batches[0], q)
    np.testing.assert_array_equal(read.reals[0], x)


# What is refused


def changed(role: str, change: Callable[[np.ndarray], np.ndarray]) -> onnx.ModelProto:
    arrays = constants_of()
    return model(constants={**arrays, role: change(arrays[role])})


def without(attribute: str) -> onnx.ModelProto:
    made = model()
    node = made.graph.node[0]
    kept = [a for a in node.attribute if a.name != attribute]
    del node.attribute[:]
    node.attribute.extend(kept)
    return made


def read_elsewhere() -> onnx.ModelProto:
    made = model()
    made.graph.node.append(helper.make_node("Cast", ["imu"], ["other"], "elsewhere", to=1))
    made.graph.output.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, None))
    return made


def dequantized_at_once() -> onnx.ModelProto:
    made = model(replace(OP, filters=CHANNELS, step=1))
    del made.graph.node[0]
    made.graph.initializer.append(numpy_helper.from_array(np.int16(0), "zero16"))
    for node in made.graph.node:
        if node.name == "entry_dq":
            node.input[0], node.input[2] = "imu", "zero16"
    return made


def bad_steps(text: str) -> onnx.ModelProto:
    made = model(step=None)
    helper.set_model_props(made, {SAMPLES: text})
    return made


REFUSED = {
    "slope shape": (
        lambda: changed("slope", lambda a: a[:, :9]),
        r"Compand  node entry .*its slope has shape \(4, 9\), expected \(4, 16\)",
    ),
    "one column": (
        lambda: model(constants=constants_of(replace(OP, segmented=False))),
        r"its slope has shape \(4, 1\), expected \(4, 16\)",
    ),
    "offset shape": (
        lambda: changed("offset", lambda a: a[:2]),
        r"its offset has shape \(2,\), expected \(4,\)",
    ),
    "source beyond": (
        lambda: changed("source", lambda a: a + CHANNELS),
        r"its source holds \d, expected 0 to 2",
    ),
    "offset beyond": (
        lambda: changed("offset", lambda a: a.astype(np.int32) + 40000),
        r"its offset holds \d+, expected -32768 to 32767",
    ),
    "negative": (
        lambda: changed("base", lambda a: -a - 1),
        r"its base holds -\d+, expected 0 to 2147483647",
    ),
    "too steep": (
        lambda: changed("slope", lambda a: np.full_like(a, 65540)),
        r"node entry: the accumulator of channel . can reach \d+, more than 32 bits",
    ),
    "no step": (lambda: without("step"), "its attribute step is missing, expected a number 1 to"),
    "no zero point": (lambda: without("zero_point"), "its attribute zero_point is missing"),
    "segmented": (
        lambda: model(replace(OP, segmented=2)),
        "its attribute segmented is 2, expected a number 0 to 1",
    ),
    "float samples": (
        lambda: model(dtype=TensorProto.FLOAT, step=None),
        r"it reads float32 \(1, 3, 20, 1\), expected int16 samples \(1, C, T, W\)",
    ),
    "another reader": (
        read_elsewhere,
        "input imu is int16, and Cast node elsewhere reads it; expected float32, int8 or uint8, or",
    ),
    "no compand": (
        dequantized_at_once,
        "input imu is int16, and DequantizeLinear node entry_dq reads it; expected",
    ),
    "steps": (
        lambda: model(step=[0.1, 0.2]),
        "its metadata tinytailor.samples are .*expected .* one positive number or 3",
    ),
    "step 0": (lambda: model(step=[0.0]), "expected .* one positive number or 3"),
    "no JSON": (lambda: bad_steps("{"), "its metadata tinytailor.samples are '{', expected"),
    "no number": (lambda: bad_steps('{"step": ["a"]}'), "expected .* one positive number or 3"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_file_ends_in_a_sentence(name, tmp_path):
    make, text = REFUSED[name]
    path = saved(tmp_path / "wrong.onnx", make())
    with pytest.raises(InputError, match=text):
        load_model(path)


def test_integers_of_another_type_are_no_samples(tmp_path):
    graph = load_model(saved(tmp_path / "imu.onnx", model()))
    with pytest.raises(InputError, match=r"input imu: got int8 \(2, .*, expected int16"):
        check_inputs(graph, [np.zeros((2, *SHAPE[1:]), np.int8)])
