# SPDX-License-Identifier: Apache-2.0
"""Residual additions where the convolution stores: the same integers, less memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import assert_same_integers, kinds, reasons
from networks import Builder, residual_network

from tinytailor.compiler import compile_model, execute, plan_memory, verify
from tinytailor.compiler.ir import Tensor, check
from tinytailor.compiler.mcu import kernel_image
from tinytailor.compiler.mcu.host import run_on_host
from tinytailor.compiler.mcu.program import lower_graph
from tinytailor.compiler.mcu.project import write_sources
from tinytailor.compiler.opkey import example_graph, make_key
from tinytailor.compiler.ops import Add, Conv2d, DepthwiseConv2d, MaxPool2d
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.passes.residuals import fuse_residuals
from tinytailor.compiler.requantization import Requant
from tinytailor.compiler.serialize import load_graph, save_graph
from tinytailor.compiler.testing.examples import random_inputs
from tinytailor.targets import cross_toolchain, host_toolchain, load_target, run

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

SAME = (1, 1, 1, 1)
ONE, TWO, THREE = (Tensor("", (1,), "int8", s, z) for s, z in ((0.1, 3), (0.06, -9), (0.11, 20)))


def block(swapped: bool, sign: int = 1, shape=(1, 7, 5, 8)):
    """Two convolutions and a sum or a difference with what went in, and a reader of it."""
    b = Builder(shape)
    a = b.add("a", Conv2d(8, Window((3, 3), padding=SAME), requant=Requant(3, low=3)), "x")
    c = b.add("c", Conv2d(8, Window((3, 3), padding=SAME), requant=Requant(-9)), a)
    add = Add.from_scales(ONE, TWO, THREE, -100, 90, sign)
    y = b.add("y", add, *((c, a) if swapped else (a, c)))
    return b.graph(b.add("z", MaxPool2d(Window((2, 2))), y))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("swapped", [False, True])
def test_an_addition_joins_the_convolution_before_it(swapped, sign):
    graph = block(swapped, sign)
    after, notes = fuse_residuals(graph)
    assert kinds(check(after)) == ["conv2d", "conv2d", "max_pool2d"]
    assert [note.text for note in notes] == ["fused into layer_c"]
    assert_same_integers(graph, after)


@pytest.mark.parametrize("isa", ["base", "dsp"])
@pytest.mark.parametrize("shape", [(1, 7, 5, 8), (1, 6, 4, 8), (1, 2, 2, 8)])
def test_emitted_code_of_a_fused_addition_computes_it_in_its_planned_arena(isa, shape, tmp_path):
    graph, board = block(swapped=True, shape=shape), load_target("nucleo-f446re")
    after, _ = fuse_residuals(graph)
    network = lower_graph(after, isa, "net")
    write_sources(network, board, cross_toolchain(), tmp_path, "")
    inputs = random_inputs(graph, 4, 0)
    (actual,) = run_on_host(tmp_path, after, "net", host_toolchain(), inputs)
    np.testing.assert_array_equal(actual, execute(graph, *inputs)[0])
    assert plan_memory(after, isa).arena_bytes <= plan_memory(graph, isa).arena_bytes


def test_a_project_with_fused_additions_is_verified_and_saved(tmp_path):
    manifest = compile_model(
        residual_network(), load_target("nucleo-f446re"), tmp_path / "net", "net", model_sha256=""
    )
    assert "add" not in [layer["op"] for layer in manifest["layers"]]
    assert verify(tmp_path / "net", "host")["bit_exact"]
    after, _ = fuse_residuals(residual_network())
    save_graph(after, tmp_path / "graph.npz")
    assert [n.op for n in load_graph(tmp_path / "graph.npz").nodes] == [n.op for n in after.nodes]


def test_an_addition_that_stays_says_why():
    b = Builder((1, 7, 5, 8))
    a = b.add("a", Conv2d(8, Window((1, 1))), "x")
    c = b.add("c", Conv2d(8, Window((1, 1))), a)
    d = b.add("d", Add(), "x", "x")
    e = b.add("e", Add(), a, c)
    f = b.add("f", DepthwiseConv2d(Window((3, 3), padding=SAME)), c)
    g = b.add("g", Add(), e, f)
    h = b.add("h", Conv2d(8, Window((1, 1))), d)
    i = b.add("i", Add(), g, h)
    j = b.add("j", Add(), i, a)
    after, notes = fuse_residuals(b.graph(j))
    why = reasons(notes)
    assert "inputs of the graph" in why["layer_d"]
    assert "read elsewhere" in why["layer_e"]
    assert "depthwise_conv2d, not conv2d" in why["layer_g"]
    assert "has an addition already" in why["layer_j"]
    assert kinds(after).count("add") == 4
    assert_same_integers(b.graph(j), after)


@pytest.mark.parametrize("board_name", ["nucleo-g0b1re", "nucleo-l4r5zi"])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 1)])
def test_a_fused_addition_takes_fewer_instructions_than_both_apart(board_name, kernel, tmp_path):
    board = load_target(board_name)
    x = (1, 8, 8, 16)
    y, op = (
        (1, 8, 8, 12),
        Conv2d(12, Window(kernel, padding=SAME if kernel == (3, 3) else (0, 0, 0, 0))),
    )
    cases = ((op, (x,)), (Add(), (y, y)), (replace(op, add=Add()), (x, y)))
    graphs = [
        (f"k{i}", example_graph(make_key(case, shapes, str(board.core.isa))))
        for i, (case, shapes) in enumerate(cases)
    ]
    image = kernel_image(graphs, board, cross_toolchain(), tmp_path)
    rng = np.random.default_rng(0)
    results = run(image.elf, board, [image.call(i, rng) for i in range(3)])
    conv, add, fused = (sum(c.instructions for c in r.counts.values()) for r in results)
    assert fused < conv + add
    sizes = [kernel.code_bytes for kernel in image.kernels]
    assert sizes[2] < sizes[0] + sizes[1] + 150
