# SPDX-License-Identifier: Apache-2.0
"""Emitted projects, what the engine refuses, board files, packing."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from chain import build_chain, build_graph
from fpga_projects import write_project

from tinytailor.compiler import compile_model
from tinytailor.compiler.fpga import check
from tinytailor.compiler.fpga.golden import run
from tinytailor.compiler.fpga.model import resources, step_cost
from tinytailor.compiler.fpga.program import pack, plan_steps
from tinytailor.compiler.fpga.units.words import padded
from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.ops.conv2d import Conv2d
from tinytailor.compiler.ops.reshape import Reshape
from tinytailor.compiler.ops.square_deform_dw import SquareDeformDW
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import CheckError, InputError
from tinytailor.targets.fpga import Fpga, load_fpga

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def changed(graph: Graph, index: int, **fields: object) -> Graph:
    """``graph`` with some fields of one node replaced."""
    nodes = list(graph.nodes)
    nodes[index] = dataclasses.replace(nodes[index], **fields)  # type: ignore[arg-type]
    return dataclasses.replace(graph, nodes=tuple(nodes))


def test_emission_is_deterministic(acceptance_graph: Graph, board: Fpga, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_project(acceptance_graph, board, tmp_path / name)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_the_engine_sources_do_not_depend_on_the_network(
    emitted: Path, board: Fpga, tmp_path: Path
) -> None:
    write_project(build_graph(build_chain("d p5", seed=3)), board, tmp_path / "p", "other")
    mine, other = tree(emitted), tree(tmp_path / "p")
    code = [name for name in mine if name.endswith((".cpp", ".hpp", ".h", "Makefile"))]
    assert len(code) == 11
    assert [name for name in code if mine[name] != other[name]] == ["hls/config.h"]


def test_nothing_is_written_for_a_graph_that_is_refused(
    acceptance_graph: Graph, board: Fpga, tmp_path: Path
) -> None:
    weight = acceptance_graph.nodes[0].constants["weight"].copy()
    weight[0, 0, 0, 0] = 8
    bad = changed(
        acceptance_graph, 0, constants={**acceptance_graph.nodes[0].constants, "weight": weight}
    )
    with pytest.raises(InputError, match=r"weight spans -8\.\.8, expected -8\.\.7"):
        compile_model(bad, board, tmp_path / "p", "chain", model_sha256="")
    assert list(tmp_path.iterdir()) == []


def test_a_packing_slip_is_caught_before_anything_is_written(
    acceptance_graph: Graph, board: Fpga, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slip(graph: Graph, *, fuse: bool) -> object:
        program = pack(graph, fuse=fuse)
        data = bytearray(program.weights)
        data[0] ^= 0x04
        return dataclasses.replace(program, weights=bytes(data))

    monkeypatch.setattr("tinytailor.compiler.fpga.project.pack", slip)
    with pytest.raises(CheckError, match="differ from the operators' reference"):
        compile_model(acceptance_graph, board, tmp_path / "p", "chain", model_sha256="")
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_holds_what_the_design_asks_for(
    emitted: Path, acceptance_graph: Graph
) -> None:
    manifest = json.loads((emitted / "manifest.json").read_text())
    assert manifest["name"] == "chain"
    assert manifest["target"] == "ultra96-v2"
    assert manifest["macs"] == acceptance_graph.macs
    assert manifest["provenance"] == "modelled"
    assert manifest["bit_exact"] is None
    assert manifest["inputs"][0]["shape"] == [1, 32, 32, 3]
    assert manifest["outputs"][0]["dtype"] == "int8"
    layers = manifest["layers"]
    assert [layer["op"] for layer in layers] == ["conv2d + square_deform_dw"] * 2 + ["conv2d"]
    assert sum(layer["macs"] for layer in layers) == manifest["macs"]
    assert sum(layer["cycles"] for layer in layers) + manifest["call_cycles"] == manifest["cycles"]
    assert manifest["latency_ms"] == pytest.approx(manifest["cycles"] / 250e3)


def test_all_problems_are_listed_at_once(acceptance_graph: Graph, board: Fpga) -> None:
    first, deform = acceptance_graph.nodes[0], acceptance_graph.nodes[1]
    heavy = {**first.constants, "bias": np.full(16, 2**23, np.int32)}
    wide = {**deform.constants, "offset_weight": np.full(16, 9, np.int8)}
    shifted = dataclasses.replace(deform.op, requant=Requant(shift=9))  # type: ignore[type-var]
    graph = changed(changed(acceptance_graph, 0, constants=heavy), 1, constants=wide, op=shifted)
    graph = changed(graph, 2, op=Conv2d(32, Window((3, 3), padding=(1, 1, 1, 1))))
    graph = changed(graph, 3, op=Reshape((1, 32768)))
    graph = changed(graph, 4, inputs=(graph.nodes[2].output,))
    with pytest.raises(InputError) as error:
        check(graph, board)
    lines = str(error.value).splitlines()
    expected = [
        "cannot run on the engine of ultra96-v2, 6 problems:",
        "pointwise4: reads pointwise2_out, expected only deform3_out",
        "pointwise0: the sum of weight channel",
        "deform1: offset_weight spans 9..9, expected -8..7",
        "deform1: output requantization shift 9, expected 0..8",
        "pointwise2: conv2d 3x3 with stride (1, 1) and padding (1, 1, 1, 1), expected 1x1",
        "deform3: operator reshape, expected conv2d 1x1 or square_deform_dw",
    ]
    assert len(lines) == len(expected)
    for line, text in zip(lines, expected, strict=True):
        assert text in line


def test_maps_and_channels_beyond_the_engine_are_refused(board: Fpga) -> None:
    small = dataclasses.replace(
        board, engine=dataclasses.replace(board.engine, max_row_words=8, max_weight_tiles=1)
    )
    graph = build_graph(build_chain("p32 d", height=4, width=5))
    with pytest.raises(InputError, match="2 tiles of 16 x 16, at most 1 fit") as error:
        check(graph, small)
    assert "10 words of 16 bytes, at most 8 fit" in str(error.value)
    narrow = dataclasses.replace(
        board, engine=dataclasses.replace(board.engine, max_channels=16), dsp=100
    )
    with pytest.raises(InputError, match="has 32 channels, at most 16 fit") as error:
        check(graph, narrow)
    assert "modelled at 258 dsp, the part has 100" in str(error.value)


def test_a_graph_without_layers_is_refused(acceptance_graph: Graph, board: Fpga) -> None:
    with pytest.raises(InputError, match="no layers, expected at least one"):
        check(dataclasses.replace(acceptance_graph, nodes=()), board)


def test_requantization_is_exact_up_to_the_largest_shift_and_at_the_extremes(board: Fpga) -> None:
    rng = np.random.default_rng(0)
    chain = build_chain("p16 d", height=4, width=4)
    for shift in (0, 1, 8):
        graph = build_graph(chain)
        for index, node in enumerate(graph.nodes):
            op = dataclasses.replace(node.op, requant=Requant(3, shift, -100, 90))  # type: ignore[type-var]
            multiplier = rng.integers(0, 2**31, 16, dtype=np.int32)
            multiplier[:2] = 2**31 - 1, 0
            bias = rng.integers(-(2**22), 2**22, 16, dtype=np.int32)
            constants = {**node.constants, "multiplier": multiplier, "bias": bias}
            graph = changed(graph, index, op=op, constants=constants)
        check(graph, board)
        x = chain.images(2, seed=shift)
        program = pack(graph)
        (result,) = run(program.descriptors, program.weights, padded(x))
        for node in graph.nodes:
            x = node.op.reference((x,), node.constants)
        np.testing.assert_array_equal(result.output, x)


def test_steps_pair_a_convolution_with_the_deformable_layer_behind_it(board: Fpga) -> None:
    graph = build_graph(build_chain("d p16 d d p5", height=3, width=3, in_channels=16))
    kinds = [[node.op.kind for node in step.nodes] for step in plan_steps(graph)]
    d, p = SquareDeformDW.kind, Conv2d.kind
    assert kinds == [[d], [p, d], [d], [p]]
    assert [[node.op.kind] for node in graph.nodes] == [
        [node.op.kind for node in step.nodes] for step in plan_steps(graph, fuse=False)
    ]
    fused = sum(step_cost(step, board).total for step in plan_steps(graph))
    assert fused < sum(step_cost(step, board).total for step in plan_steps(graph, fuse=False))


def test_cycles_follow_the_formula_of_the_slowest_stage(board: Fpga) -> None:
    fast = dataclasses.replace(board, ddr_bytes_per_second=10**11)  # memory is never the limit
    (step,) = plan_steps(build_graph(build_chain("p16 d", height=32, width=32)))
    cost = step_cost(step, fast)
    assert cost.stages["deformable"] == 8 * 32 + 32 * 32 * 3 + 7
    assert cost.stages["1x1"] == 32 * 32 + 10
    assert cost.bound == "deformable"
    assert cost.total == cost.load + cost.stages["deformable"]
    slow = step_cost(step, dataclasses.replace(board, ddr_bytes_per_second=10**9))
    assert slow.bound == "memory"
    assert slow.memory == math.ceil(
        2 * 32 * 32 * 16 / 3
    )  # read and written at 0.75 * 4 bytes a cycle


def test_the_engine_is_modelled_to_fit_the_board(board: Fpga) -> None:
    used = resources(board)
    assert all(used[key] <= getattr(board, key) for key in used)


MISTAKES = {
    "dsp = 360": ("", 'key "resources.dsp" is missing'),
    "lut = 70_560": (
        "lut = -1",
        'key "resources.lut" is -1; expected a whole number of at least 1',
    ),
    "clock_hz = 250_000_000": ('clock_hz = "fast"', "key \"clock_hz\" is 'fast'"),
    "line_rows = 16": ("line_rows = 24", "expected a power of two"),
    "input_lanes = 16": ("input_lanes = 8", "expected 16, the weights in one word"),
    "max_channels = 1024": ("max_channels = 100", "expected a multiple of 16"),
    "ddr_efficiency = 0.75": ("ddr_efficiency = 1.5", "expected at most 1"),
    "ff = 141_120": ("ff = 1\nuram = 0", 'unknown key "resources.uram"'),
}


@pytest.mark.parametrize(("line", "mistake"), MISTAKES.items(), ids=MISTAKES.keys())
def test_a_mistake_in_a_board_file_is_named(
    line: str, mistake: tuple[str, str], repository: Path, tmp_path: Path
) -> None:
    text = (repository / "targets" / "fpgas" / "ultra96-v2.toml").read_text()
    replacement, message = mistake
    assert line in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(line, replacement))
    with pytest.raises(InputError) as error:
        load_fpga(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_no_node_is_lost_between_graph_and_steps(acceptance_graph: Graph) -> None:
    for fuse in (True, False):
        nodes: list[Node] = []
        for step in plan_steps(acceptance_graph, fuse=fuse):
            nodes += step.nodes
        assert nodes == list(acceptance_graph.nodes)
