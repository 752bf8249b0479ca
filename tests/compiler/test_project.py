# SPDX-License-Identifier: Apache-2.0
"""Emitted projects: complete, clean under strict compilers, exact, reproducible, all or nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from networks import residual_network

from tinytailor.compiler import compile_model, execute, profile, verify
from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.kernels.registry import choose
from tinytailor.compiler.ops import OPERATORS
from tinytailor.compiler.project import GRAPH
from tinytailor.compiler.serialize import load_graph, save_graph
from tinytailor.targets import load_target
from tinytailor.targets.errors import CheckError, InputError

pytestmark = [pytest.mark.emulator, pytest.mark.qemu, pytest.mark.tvm]

MANIFEST_KEYS = set(
    "name target model_sha256 inputs outputs arena_bytes ram_bytes flash_bytes macs latency_ms "
    "cycles instructions layers provenance bit_exact".split()
)
LAYER_KEYS = set("name op macs cycles instructions latency_ms flash_read_bytes out_shape".split())


@pytest.fixture(scope="module")
def board():
    return load_target("nucleo-f446re")


@pytest.fixture(scope="module")
def project(board, tmp_path_factory):
    folder = tmp_path_factory.mktemp("emitted") / "net"
    manifest = compile_model(residual_network(), board, folder, "net", model_sha256="ab" * 32)
    return folder, manifest


def copy(project, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(project[0], folder)
    return folder


def test_a_project_holds_the_files_and_keys_of_the_contract(project):
    folder, manifest = project
    names = {path.name for path in folder.iterdir()}
    assert {"net.h", "net.c", "main.c", "Makefile", "manifest.json", "README.md"} <= names
    assert json.loads((folder / "manifest.json").read_text()) == json.loads(json.dumps(manifest))
    assert manifest.keys() >= MANIFEST_KEYS
    assert all(layer.keys() >= LAYER_KEYS for layer in manifest["layers"])
    assert manifest["bit_exact"] is True


def test_the_manifest_names_the_kernel_of_each_layer(project, board):
    folder, manifest = project
    graph = load_graph(folder / GRAPH)
    preferred = {
        node.name: choose(node.op, graph.input_shapes(node), board.core.isa).variant
        for node in graph.nodes
    }
    assert {"dsp_tile", "plain"} <= {layer["variant"] for layer in manifest["layers"]}
    for layers in (manifest["layers"], profile(folder)["layers"]):
        assert all(layer["variant"] == preferred[layer["name"]] for layer in layers)


def test_numbers_of_the_manifest_add_up(project):
    folder, manifest = project
    assert manifest["instructions"] == manifest["glue"]["instructions"] + sum(
        layer["instructions"] for layer in manifest["layers"]
    )
    assert manifest["cycles"] == pytest.approx(
        manifest["glue"]["cycles"] + sum(layer["cycles"] for layer in manifest["layers"]), abs=10
    )
    assert manifest["macs"] == residual_network().macs
    assert manifest["ram_bytes"] == manifest["ram_static_bytes"] + manifest["stack_bytes"]
    assert 0 < manifest["stack_seen_bytes"] <= manifest["stack_bytes"] <= 400
    assert manifest["arena_bytes"] <= manifest["ram_static_bytes"]
    header = (folder / "net.h").read_text()
    assert f"#define NET_ARENA_BYTES {manifest['arena_bytes']}\n" in header


def test_the_same_model_gives_the_same_bytes(project, board, tmp_path):
    folder, _ = project
    compile_model(residual_network(), board, tmp_path / "again", "net", model_sha256="ab" * 32)
    for path in sorted(folder.iterdir()):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("on", ["host", "emulator"])
def test_verify_agrees_bit_for_bit(project, on):
    graph = residual_network()
    x = np.random.default_rng(5).integers(-128, 128, (20, 13, 9, 3)).astype(np.int8)
    report = verify(project[0], on, x)
    assert report["bit_exact"]
    assert report["samples"] == 20
    np.testing.assert_array_equal(report["outputs"][0], execute(graph, x)[0])


@pytest.mark.parametrize("on", ["host", "emulator"])
def test_verify_sees_a_changed_weight(project, tmp_path, on):
    folder = copy(project, tmp_path)
    text = (folder / "net.c").read_text()
    start = text.index("_dense_weight[")
    changed = re.sub(r"(?<=\{\n    )-?\d+", lambda m: str(-int(m[0]) or 99), text[start:], count=1)
    (folder / "net.c").write_text(text[:start] + changed)
    report = verify(folder, on)
    assert not report["bit_exact"]
    assert report["differing_elements"] > 0


@pytest.mark.parametrize("on", ["emulator", "qemu"])
def test_a_byte_written_behind_the_arena_is_caught(project, tmp_path, on):
    if on == "qemu" and shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not on PATH")
    folder = copy(project, tmp_path)
    path = next(p for p in folder.glob("*.c") if p.name not in ("main.c", "startup.c"))
    text = path.read_text()
    wrong = text.replace("TT_OPAQUE(arena);", "TT_OPAQUE(arena);\n    arena[ARENA_END] = 1;")
    assert wrong != text
    size = json.loads((folder / "manifest.json").read_text())["arena_bytes"]
    path.write_text(wrong.replace("ARENA_END", str(size)))
    with pytest.raises(CheckError, match=r"0 bytes behind the end of .*_arena"):
        verify(folder, on)


def test_profile_repeats_the_numbers_of_the_manifest(project):
    _, manifest = project
    again = profile(project[0])
    assert again["instructions"] == manifest["instructions"]
    assert again["cycles"] == manifest["cycles"]
    assert again["flash_bytes"] == manifest["flash_bytes"]


def test_one_make_builds_the_image(project, tmp_path):
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    folder = copy(project, tmp_path)
    subprocess.run(["make", "-s"], cwd=folder, check=True)
    assert (folder / "net.elf").read_bytes()[:4] == b"\x7fELF"


@pytest.mark.parametrize(
    "compiler",
    [
        "gcc",
        "clang",
        "arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb",
        "arm-none-eabi-gcc -mcpu=cortex-m0plus -mthumb",
    ],
)
def test_strict_compilers_have_nothing_to_say(project, tmp_path, compiler):
    command = compiler.split()
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    done = subprocess.run(
        [*command, *flags, "-c", str(project[0] / "net.c"), "-o", str(tmp_path / "net.o")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_folder_with_other_files_is_left_alone(board, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.tex").write_text("important")
    with pytest.raises(InputError, match="holds files that tinytailor did not write"):
        compile_model(residual_network(), board, folder, "net", model_sha256="")
    assert [p.name for p in folder.iterdir()] == ["thesis.tex"]
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_an_earlier_project_is_replaced_whole(project, board, tmp_path):
    folder = copy(project, tmp_path)
    (folder / "notes.txt").write_text("left over")
    compile_model(residual_network(), board, folder, "other", model_sha256="")
    names = {path.name for path in folder.iterdir()}
    assert "other.c" in names
    assert not names & {"net.c", "notes.txt"}
    assert [p.name for p in tmp_path.iterdir()] == ["copy"]


@pytest.mark.parametrize("name", ["2fast", "while", "a-b", "", "Net"])
def test_a_name_that_c_would_not_take_is_refused(board, tmp_path, name):
    with pytest.raises(InputError, match="cannot be used"):
        compile_model(residual_network(), board, tmp_path / "out", name, model_sha256="")
    assert not (tmp_path / "out").exists()


def test_inputs_of_another_shape_are_refused(project):
    with pytest.raises(InputError, match=r"got float32 \(2, 13, 9, 3\), expected int8"):
        verify(project[0], "host", np.zeros((2, 13, 9, 3), np.float32))
    with pytest.raises(InputError, match=r"expected int8 with shape \(N, 13, 9, 3\)"):
        verify(project[0], "host", np.zeros((2, 9, 13, 3), np.int8))


def test_a_saved_graph_is_the_same_graph(tmp_path):
    graph = residual_network()
    save_graph(graph, tmp_path / "graph.npz")
    again = load_graph(tmp_path / "graph.npz")
    assert (again.inputs, again.outputs, again.tensors) == (
        graph.inputs,
        graph.outputs,
        dict(graph.tensors),
    )
    x = np.random.default_rng(0).integers(-128, 128, (4, 13, 9, 3)).astype(np.int8)
    np.testing.assert_array_equal(execute(again, x)[0], execute(graph, x)[0])
    assert [n.op for n in again.nodes] == [n.op for n in graph.nodes]


def test_a_broken_saved_graph_is_an_input_error(tmp_path):
    (tmp_path / "graph.npz").write_bytes(b"not a zip")
    with pytest.raises(InputError, match="not a saved integer graph"):
        load_graph(tmp_path / "graph.npz")


def test_a_saved_operator_that_is_gone_is_an_input_error(tmp_path, monkeypatch):
    save_graph(residual_network(), tmp_path / "graph.npz")
    monkeypatch.delitem(OPERATORS, "conv2d")
    with pytest.raises(InputError, match="holds a Conv2d, which is no operator of this tool"):
        load_graph(tmp_path / "graph.npz")


def test_operators_without_a_kernel_are_all_named_and_nothing_is_written(board, tmp_path):
    graph = residual_network()

    class Strange:
        kind = "strange"

        def __getattr__(self, name):
            if name == "lower":
                raise AttributeError(name)
            return getattr(graph.nodes[0].op, name)

    nodes = tuple(
        Node(n.name, Strange(), n.inputs, n.output, n.constants) if i == 0 else n
        for i, n in enumerate(graph.nodes)
    )
    broken = Graph(graph.name, graph.inputs, graph.outputs, graph.tensors, nodes)
    with pytest.raises(InputError, match=r"1 operators have no kernel[^$]*layer_a"):
        compile_model(broken, board, tmp_path / "out", "net", model_sha256="")
    assert not (tmp_path / "out").exists()
