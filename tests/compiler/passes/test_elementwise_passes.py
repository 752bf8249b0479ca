# SPDX-License-Identifier: Apache-2.0
"""Identities, lookups, pads and duplicates: what matches goes, what does not says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import assert_same_integers, kinds, reasons
from networks import Builder, residual_network

from tinytailor.compiler.ir import Graph, check
from tinytailor.compiler.ops import (
    Add,
    AveragePool2d,
    Concat,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    Lookup,
    MaxPool2d,
    Pad,
    Reshape,
)
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.passes import PIPELINE, listing, optimize
from tinytailor.compiler.passes.duplicates import merge_duplicates
from tinytailor.compiler.passes.identities import remove_identities
from tinytailor.compiler.passes.lookups import as_clip, fuse_lookups
from tinytailor.compiler.passes.pads import fold_pads
from tinytailor.compiler.requantization import Requant

pytestmark = [pytest.mark.tvm]

SAME = (1, 1, 1, 1)
RANGE = np.arange(-128, 128)


def with_table(graph: Graph, name: str, table: np.ndarray) -> Graph:
    nodes = tuple(
        replace(n, constants={"table": table.astype(np.int8)}) if n.output == name else n
        for n in graph.nodes
    )
    return check(replace(graph, nodes=nodes))


def test_nodes_that_change_nothing_go_and_reshapes_join():
    b = Builder((1, 4, 4, 8))
    a = b.add("a", Conv2d(8, Window((1, 1))), "x")
    i = b.add("i", Lookup(), a)
    c = b.add("c", Concat(3), i)
    p = b.add("p", Pad((0, 0, 0), (0, 0, 0)), c)
    r = b.add("r", Reshape((1, 8, 16, 1)), p)
    s = b.add("s", Reshape((1, 128)), r)
    graph = with_table(b.graph(b.add("z", Dense(3), s)), "i", RANGE)
    after, notes = remove_identities(graph)
    assert kinds(check(after)) == ["conv2d", "reshape", "dense"]
    assert all(note.changed for note in notes)
    assert_same_integers(graph, after)


def test_a_graph_output_keeps_its_name_when_the_node_that_wrote_it_goes():
    b = Builder((1, 4, 4, 8))
    a = b.add("a", Conv2d(8, Window((1, 1))), "x")
    graph = with_table(b.graph(b.add("z", Lookup(), a)), "z", RANGE)
    after, _ = remove_identities(graph)
    assert kinds(check(after)) == ["conv2d"]
    assert after.outputs == ("z",)
    assert_same_integers(graph, after)


def test_an_identity_between_the_borders_of_the_graph_stays():
    b = Builder((1, 4, 4, 8))
    graph = with_table(b.graph(b.add("z", Lookup(), "x")), "z", RANGE)
    after, notes = remove_identities(graph)
    assert kinds(after) == ["lookup"]
    assert "borders of the graph" in reasons(notes)["layer_z"]


@pytest.mark.parametrize(
    "op",
    [
        Conv2d(8, Window((3, 3), padding=SAME), requant=Requant(-7, low=-90)),
        DepthwiseConv2d(Window((3, 3), padding=SAME), requant=Requant(5)),
        Add(),
        MaxPool2d(Window((2, 2))),
    ],
    ids=lambda op: op.kind,
)
@pytest.mark.parametrize("shift", [0, 9, -30])
def test_a_clamp_after_an_operator_becomes_the_clamp_of_the_operator(op, shift):
    b = Builder((1, 6, 5, 8))
    y = b.add("y", op, *(("x", "x") if isinstance(op, Add) else ("x",)))
    graph = b.graph(b.add("z", Lookup(), y))
    graph = with_table(graph, "z", np.clip(RANGE + shift, -20, 60))
    after, notes = fuse_lookups(graph)
    if shift and op.kind == "max_pool2d":
        assert "cannot move its zero point" in reasons(notes)["layer_z"]
        return
    assert len(after.nodes) == 1
    assert check(after).outputs == ("z",)
    assert_same_integers(graph, after)


def test_lookups_in_a_row_are_one_table():
    rng = np.random.default_rng(1)
    b = Builder((1, 6, 5, 8))
    y = b.add("y", Lookup(), "x")
    graph = b.graph(b.add("z", Lookup(), y))
    for name in ("y", "z"):
        graph = with_table(graph, name, rng.integers(-128, 128, 256))
    after, notes = fuse_lookups(graph)
    assert kinds(check(after)) == ["lookup"]
    assert "input of the graph" in reasons(notes)["layer_y"]
    assert_same_integers(graph, after)


def test_a_lookup_says_why_it_stays():
    b = Builder((1, 6, 5, 8))
    a = b.add("a", Conv2d(8, Window((1, 1))), "x")
    t = b.add("t", Lookup(), a)
    u = b.add("u", Add(), a, t)
    v = b.add("v", Lookup(), u)
    w = b.add("w", Concat(3), v, t)
    graph = b.graph(b.add("z", Lookup(), w))
    graph = with_table(graph, "v", np.rint(100 * np.tanh(RANGE / 50)))
    after, notes = fuse_lookups(graph)
    why = reasons(notes)
    assert kinds(after) == kinds(graph)
    assert "read elsewhere" in why["layer_t"]
    assert "no clamp" in why["layer_v"]
    assert "has no clamp" in why["layer_z"]


def test_a_table_is_a_clip_only_where_it_is_one():
    rng = np.random.default_rng(0)
    for _ in range(200):
        low, high = sorted(int(v) for v in rng.integers(-128, 128, 2))
        k = int(rng.integers(-100, 100))
        table = np.clip(RANGE + k, low, high).astype(np.int8)
        found = as_clip(table)
        assert found is not None
        bottom, top, step = found
        np.testing.assert_array_equal(np.clip(RANGE + step, bottom, top), table)
    assert as_clip(rng.integers(-128, 128, 256).astype(np.int8)) is None
    assert as_clip((-RANGE).clip(-128, 127).astype(np.int8)) is None


@pytest.mark.parametrize(
    ("op", "fits"),
    [
        (Conv2d(4, Window((3, 3), (2, 2), (0, 0, 1, 0)), input_zero_point=-9), True),
        (DepthwiseConv2d(Window((3, 3), padding=SAME), input_zero_point=-9), True),
        (Conv2d(4, Window((3, 3)), input_zero_point=3), False),
        (MaxPool2d(Window((2, 2))), False),
        (AveragePool2d(Window((2, 2))), False),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_a_pad_becomes_the_border_of_windows_that_read_the_same_value_there(op, fits):
    b = Builder((1, 6, 5, 8))
    p = b.add("p", Pad((1, 0, 0), (2, 1, 0), -9), "x")
    graph = b.graph(b.add("z", op, p))
    after, notes = fold_pads(graph)
    assert kinds(check(after)) == ([op.kind] if fits else ["pad", op.kind])
    assert bool(reasons(notes)) != fits
    assert_same_integers(graph, after)


def test_a_pad_of_the_smallest_value_is_the_border_of_a_maximum():
    b = Builder((1, 6, 5, 8))
    p = b.add("p", Pad((1, 0, 0), (2, 1, 0), -128), "x")
    graph = b.graph(b.add("z", MaxPool2d(Window((3, 3), (2, 2))), p))
    after, _ = fold_pads(graph)
    assert kinds(check(after)) == ["max_pool2d"]
    assert_same_integers(graph, after)


def test_a_pad_that_one_reader_needs_stays_for_all():
    b = Builder((1, 6, 5, 8))
    p = b.add("p", Pad((1, 1, 0), (1, 1, 0), 3), "x")
    c = b.add("c", Conv2d(8, Window((3, 3), padding=SAME), input_zero_point=3), p)
    graph = b.graph(b.add("z", Add(), p, c))
    after, notes = fold_pads(graph)
    assert kinds(after) == kinds(graph)
    assert "has no border" in reasons(notes)["layer_p"]


def test_equal_nodes_run_once():
    b = Builder((1, 6, 5, 8))
    m = [b.add(f"m{i}", MaxPool2d(Window((2, 2))), "x") for i in range(3)]
    n = [b.add(f"n{i}", Lookup(), m[i]) for i in range(3)]
    s = b.add("s", Add(), n[0], n[1])
    graph = b.graph(b.add("z", Add(), s, n[2]))
    for name in n:
        graph = with_table(graph, name, np.clip(RANGE, 0, 10))
    after, notes = merge_duplicates(graph)
    assert kinds(check(after)) == ["max_pool2d", "lookup", "add", "add"]
    assert len(notes) == 4
    assert_same_integers(graph, after)


def test_the_pipeline_keeps_the_integers_and_lists_every_stage():
    graph = residual_network()
    after, report = optimize(graph)
    assert [s.name for s in report.stages] == ["import", *(step.__name__ for step in PIPELINE)]
    assert_same_integers(graph, after)
    text = listing(after)
    assert text.count("\n") == len(after.nodes) + 3
    assert "depthwise_conv2d layer_e" in text
