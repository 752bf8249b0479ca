# SPDX-License-Identifier: Apache-2.0
"""Real numbers to the integers of an input: numpy, ONNX and the emitted C agree to the last bit."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiers import nightly_but

from tinytailor.compiler import compile_model, verify
from tinytailor.compiler.c_literals import string_literal
from tinytailor.compiler.ir import Border, Graph, Node, Tensor
from tinytailor.compiler.mcu.build import build_program
from tinytailor.compiler.opkey import example_constants
from tinytailor.compiler.ops import Conv2d
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.real_values import Standardization, dequantized, quantized
from tinytailor.compiler.references import onnx_session
from tinytailor.compiler.training_record import TrainingRecord, digest_of, unlike_training
from tinytailor.targets import cross_toolchain, host_toolchain, load_target
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

SHAPE = (1, 5, 4, 3)
TRAINING = TrainingRecord(
    classes=("walk", 'the "other" \\ ??/ é'),
    labels=("1", "7"),
    mean=(0.5, -2.0, 9.81),
    std=(0.25, 3.0, 0.0625),
    saturated=0.001,
    data="npz:*/walks.npz",
    digest="",
    seed=0,
)
WAYS = {
    "plain": Standardization.plain(0.0375),
    "one pair": Standardization.of([0.3], [0.0371], None),
    "channels": Standardization.of([0.5, -2.0, 9.81], [0.011, 0.25, 0.0625], 3),
    "rows": Standardization.of(np.linspace(-3, 3, 5), np.linspace(0.01, 2, 5), 1),
    "no offset": Standardization.of([0.0, 0.0, 0.0], [0.5, 0.25, 1.0], 3),
}


def numbers(way: Standardization, rows: int = 6) -> np.ndarray:
    """Values around the range of int8, exact halves, and what no sensor should give."""
    rng = np.random.default_rng(0)
    steps = rng.uniform(-150, 150, (rows, *SHAPE[1:]))
    steps[1::2] = np.round(steps[1::2]) + 0.5
    x = steps * way.along(way.step, 4) + way.along(way.offset, 4)
    x[0].ravel()[:6] = np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-42
    return x.astype(np.float32)


def linear(way: Standardization) -> Graph:
    """A convolution to two classes behind an input that reads real numbers so."""
    x = Tensor("x", SHAPE, "int8", 0.0375, -5)
    y = Tensor("y", (1, 1, 1, 2), "int8", 0.125, 7)
    op = Conv2d(2, Window((5, 4), (1, 1)), input_zero_point=-5)
    constants = example_constants(op, (SHAPE,), 0)
    border = Border("x", SHAPE, "float32", (0, 1, 2, 3), way)
    node = Node("y", op, ("x",), "y", constants)
    return Graph(
        "net", ("x",), ("y",), {"x": x, "y": y}, (node,), borders={"x": border}, training=TRAINING
    )


CORES = {"one pair": "nucleo-g0b1re", "rows": "nucleo-g0b1re"}  # without floating-point unit
OFTEN = ("one pair", "channels")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Callable[[str], Path]:
    """The compiled project of a way."""
    folder = tmp_path_factory.mktemp("real")

    def made(name: str) -> Path:
        if not (folder / name).exists():
            target = load_target(CORES.get(name, "nucleo-f446re"))
            compile_model(linear(WAYS[name]), target, folder / name, "net", model_sha256="")
        return folder / name

    return made


@pytest.mark.parametrize("on", ["host", "emulator"])
@pytest.mark.parametrize("name", nightly_but(OFTEN, WAYS))
def test_the_emitted_quantization_is_that_of_numpy(project, name, on):
    x = numbers(WAYS[name])
    q = quantized(x, WAYS[name], -5)
    assert {-128, 127} <= set(q.ravel().tolist())
    found = verify(project(name), on, q, [x])
    assert found["bit_exact"]
    other = q.copy()
    other[2, 0, 0, 0] ^= 1
    assert verify(project(name), on, other, [x])["differing_inputs"] == 1


@pytest.mark.parametrize("name", WAYS)
def test_onnxruntime_quantizes_alike_where_the_mean_is_subtracted_first(name):
    way, rank = WAYS[name], 4
    step = np.array(way.step, np.float32)
    constants = {
        "mean": way.along(way.offset, rank),
        "step": step if way.axis is not None else step[0],
        "zero": np.full(step.shape if way.axis is not None else (), -5, np.int8),
    }
    axis = {} if way.axis is None else {"axis": way.axis}
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["centred"]),
        helper.make_node("QuantizeLinear", ["centred", "step", "zero"], ["q"], **axis),
    ]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, *SHAPE[1:]]),
        helper.make_tensor_value_info("q", TensorProto.INT8, [None, *SHAPE[1:]]),
    ]
    initializers = [numpy_helper.from_array(array, key) for key, array in constants.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    x = np.nan_to_num(numbers(way), nan=0.0, posinf=1e30, neginf=-1e30)
    (q,) = onnx_session(model).run(None, {"x": x})
    np.testing.assert_array_equal(quantized(x, way, -5), q)


def test_the_header_says_what_real_numbers_mean_and_what_the_classes_are_called(project):
    header = (project("channels") / "net.h").read_text()
    source = (project("channels") / "net.c").read_text()
    assert "void net_quantize_input(const float *x, int8_t *q);" in header
    assert "void net_dequantize_output(const int8_t *q, float *y);" in header
    assert "#define NET_CLASSES 2" in header
    for mean, std in zip(TRAINING.mean, TRAINING.std, strict=True):
        assert re.search(rf"\s{mean:.6g}\s+{std:.6g}\b", header)
    assert "*/walks" not in header.replace("data, npz:*?walks", "")
    for text in TRAINING.classes:
        assert string_literal(text) in source


def test_class_names_and_dequantized_outputs_are_those_of_numpy_in_c(project, tmp_path):
    lines = [
        "#include <stdio.h>",
        '#include "net.h"',
        "int main(void) {",
        "    static const int8_t q[2] = {-128, 127};",
        "    float y[2];",
        "    net_dequantize_output(q, y);",
        '    printf("%a %a\\n", (double)y[0], (double)y[1]);',
        "    for (int i = 0; i < NET_CLASSES; i++) puts(net_class_names[i]);",
        "    return 0;",
        "}",
    ]
    (tmp_path / "main.c").write_text("\n".join(lines))
    folder, program = project("channels"), tmp_path / "main"
    command = [*host_toolchain().command, "-std=c99", "-I", str(folder), str(tmp_path / "main.c")]
    subprocess.run([*command, str(folder / "net.c"), "-o", str(program)], check=True)
    first, *names = subprocess.run([program], capture_output=True).stdout.decode().splitlines()
    expected = dequantized(np.array([-128, 127], np.int8), 0.125, 7)
    assert [float.fromhex(text) for text in first.split()] == expected.tolist()
    assert tuple(names) == TRAINING.classes


def test_nothing_of_it_is_in_a_program_that_does_not_call_it(project):
    """The flash of the manifest is that of the network alone."""
    folder = project("channels")
    with tempfile.TemporaryDirectory() as scratch:
        board, toolchain = load_target("nucleo-f446re"), cross_toolchain()
        elf, sizes = build_program(folder, "net", board, toolchain, Path(scratch))
        symbols = elf.read_bytes()
    assert b"net_quantize_input" not in symbols
    assert b"net_invoke" in symbols
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sizes.flash_bytes == manifest["flash_bytes"]


def test_labels_are_read_as_the_data_of_the_training_called_them():
    found = TRAINING.indices(np.array(["7", "1", "walk"]), "x.npz")
    assert found.tolist() == [1, 0, 0]
    assert TRAINING.indices(np.array([7, 1]), "x.npz").tolist() == [1, 0]
    with pytest.raises(InputError, match=r"x.npz holds the label '0'; the classes .* are 1, 7"):
        TRAINING.indices(np.array([0, 1]), "x.npz")


def test_numbers_in_other_units_are_told():
    way = Standardization.of(TRAINING.mean, np.multiply(TRAINING.std, 0.03), 3)
    rng = np.random.default_rng(0)
    x = rng.normal(TRAINING.mean, TRAINING.std, (40, 5, 4, 3))
    assert unlike_training("x", x, way, 0, TRAINING) == []
    saturates, drifted = unlike_training("x", x * 9.81, way, 0, TRAINING)
    assert "% of the values of x are beyond what int8 holds here (in training 0.1 %)" in saturates
    assert "channel 0 of x has mean 4." in drifted
    assert "and so 2 more channels" in drifted
    (standardised,) = unlike_training("x", (x - TRAINING.mean) / TRAINING.std, way, 0, TRAINING)[
        -1:
    ]
    assert "not standardised yet" in standardised
    still = x.copy()
    still[..., 2] = TRAINING.mean[2]
    assert unlike_training("x", still, way, 0, TRAINING) == []


def test_a_record_of_the_training_survives_its_file_and_damage_is_named():
    assert TrainingRecord.read(json.dumps(TRAINING.to_json()), "m.onnx") == TRAINING
    for damaged in ("{", "[]", '{"classes": 3}'):
        with pytest.raises(InputError, match=r"m.onnx: its metadata tinytailor.training is not"):
            TrainingRecord.read(damaged, "m.onnx")


def test_the_digest_of_data_depends_on_their_contents_alone(tmp_path):
    x, y = np.arange(24).reshape(4, 6), np.arange(4)
    np.savez_compressed(tmp_path / "a.npz", y=y, x=x)
    with np.load(tmp_path / "a.npz") as stored:
        assert digest_of([stored["x"], stored["y"]]) == digest_of([x, y])
    assert digest_of([x, y + 1]) != digest_of([x, y])
    assert digest_of([x.reshape(6, 4), y]) != digest_of([x, y])
