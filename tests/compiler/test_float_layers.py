# SPDX-License-Identifier: Apache-2.0
"""Layers in float: the same bits on every core, clean C, and honest about where they are."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "frontend"))

from float_layer_models import CASES, NETWORKS, Case
from qdq_models import Model

from tinytailor.compiler import compile_model, execute, load_model, verify
from tinytailor.compiler.c_literals import float_literal
from tinytailor.compiler.mcu.project import WARNINGS
from tinytailor.compiler.passes import listing
from tinytailor.compiler.serialize import load_graph, save_graph
from tinytailor.targets import load_target
from tinytailor.targets.errors import InputError

# one process, so that each network is compiled once
pytestmark = [pytest.mark.emulator, pytest.mark.tvm, pytest.mark.xdist_group("float-layers")]

BOARDS = ("nucleo-g0b1re", "nucleo-f446re")  # in software, and with a unit for float32
FLAGS = ("-std=c99", *WARNINGS, "-Wsign-conversion", "-Wshadow", "-Wpedantic")
FLAGS += ("-Wdouble-promotion", "-Wno-overlength-strings")
COMPILERS = {
    "gcc": ("gcc", "-O2"),
    "clang": ("clang", "-O2", "-Wunreachable-code"),
    "arm": ("arm-none-eabi-gcc", "-O2", "-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16"),
}
COMPILERS["arm"] += ("-mfloat-abi=hard",)
TOGETHER = ("GroupNormalization", "LRN", "CumSum", "ReduceProd", "ReduceL2", "Div")
# Together they call every function there is, and reduce over one and over several axes.
TRIED = {
    **{name: CASES[name] for name in TOGETHER},
    **{name: Case(build) for name, build in NETWORKS.items()},
}


def graph_of(case: Case, folder: Path):
    model = Model()
    y = case.build(model)
    return load_model(model.save(folder / "m.onnx", y, opset=case.opset), allow_float=True)


@pytest.fixture(scope="module", params=TRIED)
def project(request, tmp_path_factory):
    """The folder and manifest of a compiled project, by board."""
    folder = tmp_path_factory.mktemp("float")
    graph = graph_of(TRIED[request.param], folder)
    return {
        board: (
            folder / board,
            compile_model(graph, load_target(board), folder / board, "net", model_sha256=""),
        )
        for board in BOARDS
    }


@pytest.mark.parametrize("board", BOARDS)
def test_core_and_host_compute_the_same_bits(project, board):
    folder, manifest = project[board]
    assert manifest["bit_exact"]
    assert verify(folder, on="host")["differing_elements"] == 0


def test_the_manifest_names_the_layers_in_float(project):
    for folder, manifest in project.values():
        text = (folder / "net.c").read_text()
        assert manifest["float_layers"]
        for layer in manifest["float_layers"]:
            assert layer["name"] in {record["name"] for record in manifest["layers"]}
            assert f"/* {layer['name']}: float {' '.join(layer['operators'])}, " in text


@pytest.mark.parametrize("compiler", COMPILERS)
def test_strict_compilers_are_silent_about_float(project, compiler, tmp_path):
    command = COMPILERS[compiler]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    source = project["nucleo-f446re"][0] / "net.c"
    out = tmp_path / "net.o"
    done = subprocess.run(
        [*command, *FLAGS, "-c", str(source), "-o", str(out)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[:2000]
    names = subprocess.run(["nm", "-u", str(out)], capture_output=True, text=True, check=True)
    called = {line.split()[-1] for line in names.stdout.splitlines()}
    assert called <= {"memcpy", "memset"}  # no libm


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_products_and_sums_are_not_fused_whatever_the_standard(project, tmp_path):
    source = project["nucleo-f446re"][0] / "net.c"
    for number, standard in enumerate(("-std=c99", "-std=gnu11")):
        out = tmp_path / f"{number}.s"
        command = [*COMPILERS["arm"], standard, "-S", str(source), "-o", str(out)]
        subprocess.run(command, check=True)
        text = out.read_text()
        assert "vmul.f32" in text
        assert "vfm" not in text  # vmla rounds its product, vfma does not
        assert "vfnm" not in text


def test_a_quotient_of_zeros_gives_the_same_integers_everywhere(tmp_path):
    model = Model()
    x = model.input((1, 16), scale=1.0, zero=0)
    kept = model.quantized(model.node("Relu", [x]), 1.0, 0)
    y = model.quantized(model.node("Div", [x, kept], "ratio"), 0.5, 3)
    graph = load_model(model.save(tmp_path / "m.onnx", y), allow_float=True)
    inputs = np.arange(-8, 8, dtype=np.int8).reshape(1, 16)
    (expected,) = execute(graph, inputs)
    assert expected.ravel()[9:].tolist() == [5] * 7
    for board in BOARDS:
        folder = tmp_path / board
        compile_model(graph, load_target(board), folder, "net", model_sha256="")
        for on in ("host", "emulator"):
            assert verify(folder, on, inputs)["differing_elements"] == 0


def test_a_saved_graph_computes_the_same(tmp_path):
    graph = graph_of(CASES["LRN"], tmp_path)
    save_graph(graph, tmp_path / "graph.npz")
    loaded = load_graph(tmp_path / "graph.npz")
    assert [node.op for node in loaded.nodes] == [node.op for node in graph.nodes]
    x = np.random.default_rng(0).integers(-128, 128, graph.tensors[graph.inputs[0]].shape)
    a, b = (execute(g, x.astype(np.int8))[0] for g in (graph, loaded))
    np.testing.assert_array_equal(a, b)


def test_the_listing_shows_operators_and_not_the_program(tmp_path):
    text = listing(graph_of(CASES["GroupNormalization"], tmp_path))
    assert "operators GroupNormalization" in text
    assert max(map(len, text.splitlines())) < 300


def test_the_emitted_text_does_not_change_from_run_to_run(tmp_path):
    texts = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        graph = graph_of(CASES["LRN"], tmp_path / str(number))
        folder = tmp_path / f"out{number}"
        compile_model(graph, load_target(BOARDS[1]), folder, "net", model_sha256="")
        texts.append((folder / "net.c").read_bytes())
    assert texts[0] == texts[1]


def test_engines_refuse_layers_in_float(tmp_path):
    graph = graph_of(CASES["LRN"], tmp_path)
    with pytest.raises(InputError, match="float"):
        compile_model(graph, load_target("ultra96-v2"), tmp_path / "out", "net", model_sha256="")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 3.4028234663852886e38, 1e-45, 1 / 3])
def test_literals_are_exact(value):
    text = float_literal(value)
    assert text.endswith("f")
    assert float.fromhex(text[:-1]) == float(np.float32(value))


REAL = {
    "exp": (math.exp, np.linspace(-80, 80, 2001), 2e-7),
    "log": (math.log, np.geomspace(1e-30, 1e30, 2001), 4e-7),
    "rsqrt": (lambda x: 1 / math.sqrt(x), np.geomspace(1e-30, 1e30, 2001), 4e-7),
    "sqrt": (math.sqrt, np.geomspace(1e-30, 1e30, 2001), 4e-7),
    "tanh": (math.tanh, np.linspace(-9, 9, 2001), 4e-7),
    "sigmoid": (lambda x: 1 / (1 + math.exp(-x)), np.linspace(-30, 30, 2001), 4e-7),
    "erf": (math.erf, np.linspace(-5, 5, 2001), 8e-7),
    "floor": (math.floor, np.linspace(-9, 9, 2001), 0),
    "ceil": (math.ceil, np.linspace(-9, 9, 2001), 0),
    "trunc": (math.trunc, np.linspace(-9, 9, 2001), 0),
    "nearbyint": (round, np.linspace(-9, 9, 2401), 0),
    "fabs": (abs, np.linspace(-9, 9, 2001), 0),
}


@pytest.mark.parametrize("name", REAL)
def test_functions_are_close_to_the_real_ones(name):
    import tvm
    from tvm import te, tirx

    from tinytailor.compiler.kernels.bricks import float_math, tir

    function, values, tolerance = REAL[name]
    values = values.astype(np.float32)
    x = te.placeholder(values.shape, "float32", name="x")
    call = getattr(tirx, {"fabs": "abs"}.get(name, name))
    y = te.compute(values.shape, lambda i: call(x[i]), name="y")
    plain = tir.lower(te.create_prim_func([x, y])).without_attr("target")
    module = tvm.IRModule({"main": float_math.expanded(plain)})
    arrays = [tvm.runtime.tensor(a) for a in (values, np.zeros_like(values))]
    tvm.compile(module, target="llvm")["main"](*arrays)
    expected = np.array([function(float(v)) for v in values])
    size = np.maximum(np.abs(expected), 1.0 if name in ("tanh", "erf") else 1e-35)
    assert (np.abs(arrays[1].numpy() - expected) <= tolerance * size).all()
