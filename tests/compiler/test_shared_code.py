# SPDX-License-Identifier: Apache-2.0
"""Layers that differ in their constants only share one function, and equal constants lie once."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tinytailor.compiler import compile_model, verify
from tinytailor.compiler.ir import Graph, Node, Tensor, check
from tinytailor.compiler.kernels.registry import choose, lower
from tinytailor.compiler.mcu.build import build_program
from tinytailor.compiler.mcu.program import lower_graph
from tinytailor.compiler.mcu.project import write_sources
from tinytailor.compiler.opkey import example_constants
from tinytailor.compiler.ops import Conv2d, DepthwiseConv2d
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.requantization import Requant
from tinytailor.targets import cross_toolchain, load_target

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

SHAPE = (1, 7, 5, 8)
DEPTHWISE = DepthwiseConv2d(Window((3, 3), (1, 1), (1, 1, 1, 1)))
POINTWISE = Conv2d(8, Window((1, 1)))


def chain(*layers, seeds):
    """A graph of ``layers`` one after the other, with constants by seed."""
    names = [f"t{i}" for i in range(len(layers) + 1)]
    nodes = tuple(
        Node(f"n{i}", op, (names[i],), names[i + 1], example_constants(op, (SHAPE,), seed))
        for i, (op, seed) in enumerate(zip(layers, seeds, strict=True))
    )
    tensors = {name: Tensor(name, SHAPE) for name in names}
    return check(Graph("chain", (names[0],), (names[-1],), tensors, nodes))


@pytest.fixture(scope="module")
def mobile():
    """Three pairs of depthwise and pointwise layers, the last two with equal constants."""
    return chain(*(DEPTHWISE, POINTWISE) * 3, seeds=(1, 2, 3, 4, 3, 4))


def codes(graph):
    return {node: kernel.code for node, kernel in lower_graph(graph, "dsp", "net").kernels.items()}


def test_layers_of_one_shape_share_their_code(mobile):
    shared = codes(mobile)
    assert shared["n0"] == shared["n2"] == shared["n4"] == "net_depthwise_conv2d_1"
    assert shared["n1"] == shared["n3"] == shared["n5"] == "net_conv2d_1"


def test_layers_that_are_quantized_differently_share_their_code():
    other = replace(POINTWISE, requant=Requant(zero_point=3))
    shared = codes(chain(POINTWISE, other, POINTWISE, seeds=(1, 2, 3)))
    assert shared["n0"] == shared["n1"] == shared["n2"]


def test_a_layer_with_another_clamp_than_that_of_int8_has_code_of_its_own():
    other = replace(POINTWISE, requant=Requant(low=0))
    shared = codes(chain(POINTWISE, other, POINTWISE, seeds=(1, 2, 3)))
    assert shared["n0"] == shared["n2"] != shared["n1"]


def test_the_image_holds_shared_code_and_equal_constants_once(mobile, tmp_path):
    board = load_target("nucleo-l4r5zi")
    manifest = compile_model(mobile, board, tmp_path / "net", "net", model_sha256="")
    assert manifest["bit_exact"]
    text = (tmp_path / "net" / "net.c").read_text()
    assert text.count("TT_LAYER void net_conv2d_1(") == 1
    assert text.count("int8_t net_01_conv2d_weight[") == 1
    assert "net_05_conv2d_weight[" not in text  # those of layer 3
    arrays = {a.tobytes() for node in mobile.nodes for a in node.constants.values()}
    words = 3 * len(("zero_point", "input_zero_point")) + 3 * len(("zero_point",))
    pointers = 4 * (words + sum(len(node.constants) for node in mobile.nodes))
    assert manifest["constant_bytes"] == sum(map(len, arrays)) + pointers
    code = {layer["code"]: layer["code_bytes"] for layer in manifest["layers"]}
    once = manifest["constant_bytes"] + sum(code.values())
    twice = once + sum(layer["code_bytes"] for layer in manifest["layers"])
    assert once < manifest["flash_bytes"] < twice
    assert verify(tmp_path / "net", "host")["bit_exact"]
    assert json.loads((tmp_path / "net" / "manifest.json").read_text()) == manifest


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 3)])
def test_a_depthwise_layer_that_keeps_its_rows_runs_in_place(kernel, stride):
    op = DepthwiseConv2d(Window(kernel, (stride, stride), (1, 1, 1, 1)))
    choice = choose(op, (SHAPE,), "dsp")
    lowered = lower(op, (SHAPE,), example_constants(op, (SHAPE,), 0), "dsp", choice)
    assert lowered.overlap == {0: 0}
    assert (lowered.sliding is not None) == (kernel[0] > stride)


def test_rows_are_fetched_once_where_windows_overlap():
    graph = chain(DEPTHWISE, seeds=(0,))
    (kernel,) = lower_graph(graph, "dsp", "net").kernels.values()
    fetches = [line for line in kernel.body if "x0[" in line]
    assert len(fetches) == 2  # before the loop and, one row a turn, in it
    assert np.prod(SHAPE[2:]) < kernel.scratch_bytes


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
def test_a_layer_has_the_same_code_if_one_calls_it_or_several(compiler, tmp_path):
    board, toolchain = load_target("nucleo-l4r5zi"), cross_toolchain(compiler)
    sizes = []
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        network = lower_graph(chain(*(POINTWISE,) * count, seeds=range(count)), "dsp", "net")
        write_sources(network, board, toolchain, folder, "")
        _, image = build_program(folder, "net", board, toolchain, folder)
        sizes.append((image.symbols["net_conv2d_1"][1], image.symbols["net_00_conv2d"][1]))
    assert sizes[0] == sizes[1]
