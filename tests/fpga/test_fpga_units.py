# SPDX-License-Identifier: Apache-2.0
"""Units: what knows an operator is beside it, and weights may be stored in fewer bits."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from chain import build_chain, build_graph
from fpga_projects import write_project

from tinytailor.compiler import compile_model, verify
from tinytailor.compiler.fpga import check
from tinytailor.compiler.fpga.program import FIELDS, FLAGS, STEP_WORDS, pack, plan_steps
from tinytailor.compiler.fpga.units import UNITS, unit_of
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.narrow_weights import narrowed
from tinytailor.compiler.ops import OPERATORS
from tinytailor.compiler.quantize import SCHEMES
from tinytailor.targets.errors import InputError
from tinytailor.targets.fpga import Fpga

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]


def with_weights(graph: Graph, index: int, low: int, high: int) -> Graph:
    """``graph`` with weights of a node drawn anew from ``low`` to ``high`` but 0."""
    node = graph.nodes[index]
    values = np.array([w for w in range(low, high + 1) if w], np.int8)
    rng = np.random.default_rng(index)
    weight = rng.choice(values, node.constants["weight"].shape)
    nodes = list(graph.nodes)
    nodes[index] = dataclasses.replace(node, constants={**node.constants, "weight": weight})
    return dataclasses.replace(graph, nodes=tuple(nodes))


def test_only_the_units_know_operators(repository: Path) -> None:
    folder = repository / "compiler" / "fpga"
    for path in folder.glob("*.py"):
        text = path.read_text()
        modules = [
            node.module or ""
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.ImportFrom)
        ]
        assert not [m for m in modules if m.startswith("tinytailor.compiler.ops")], path.name
        named = {kind for kind in OPERATORS if f'"{kind}"' in text}
        assert not named, f"{path.name} names {named}"


def test_every_unit_has_a_folder_with_its_hls_and_a_flag_of_its_own(repository: Path) -> None:
    for unit in UNITS:
        folder = repository / "compiler" / "fpga" / "units" / unit.folder
        assert list(folder.glob("*.hpp"))
        assert (folder / "golden.py").is_file()
    assert len(FIELDS) == len(set(FIELDS)) <= STEP_WORDS
    assert sorted(FLAGS.values()) == [1 << i for i in range(len(UNITS))]


def test_every_unit_describes_what_it_packs() -> None:
    graph = build_graph(build_chain("p5 d p19 d", height=5, width=4, seed=2))
    for step in plan_steps(graph, fuse=False):
        (node,) = step.nodes
        unit = unit_of(node)
        assert unit is not None
        assert set(unit.descriptor(node)) == set(unit.fields)
        assert len(unit.weights(node, step)) == unit.loaded(step)


@pytest.mark.parametrize(("low", "high", "bits"), [(-8, 7, 4), (-2, 1, 2), (-1, 1, 1)])
def test_weights_stored_in_fewer_bits_make_the_same_program(
    low: int, high: int, bits: int, board: Fpga
) -> None:
    graph = with_weights(build_graph(build_chain("p16 d p5", height=4, width=6)), 2, low, high)
    packed = narrowed(graph)
    assert packed.nodes[2].op.weight_bits == bits  # type: ignore[attr-defined]
    assert packed.nodes[2].constants["weight"].dtype == np.uint8
    check(packed, board)
    ours, expected = pack(packed), pack(graph)
    assert (ours.descriptors, ours.weights) == (expected.descriptors, expected.weights)


def test_a_project_of_narrow_weights_is_the_project_of_wide_ones(
    board: Fpga, tmp_path: Path
) -> None:
    graph = build_graph(build_chain("p7 d r18 d", height=6, width=5, seed=4))
    compile_model(narrowed(graph), board, tmp_path / "narrow", "net", model_sha256="0" * 64)
    write_project(graph, board, tmp_path / "wide")
    sums = [(tmp_path / name / "SHA256SUMS").read_text() for name in ("narrow", "wide")]
    assert sums[0] == sums[1]
    assert verify(tmp_path / "narrow")["bit_exact"]


def test_weights_beyond_four_bits_are_refused_with_a_scheme_that_exists(board: Fpga) -> None:
    graph = with_weights(build_graph(build_chain("p16 d", height=4, width=4)), 0, -127, 127)
    with pytest.raises(InputError, match=r"pointwise0: weight spans .*, expected -8\.\.7"):
        check(graph, board)
    with pytest.raises(InputError) as error:
        check(narrowed(graph), board)  # 8 bits are the fewest that hold them
    named = re.findall(r"--scheme (\w+)", str(error.value))
    assert named
    assert set(named) <= set(SCHEMES)
