# SPDX-License-Identifier: Apache-2.0
"""Weights of 4, 2 and 1 bit: packing loses nothing, and packed layers compute what they did."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from networks import residual_network

from tinytailor.compiler.execute import execute
from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.mcu.host import run_on_host
from tinytailor.compiler.mcu.program import lower_graph
from tinytailor.compiler.mcu.project import write_sources
from tinytailor.compiler.narrow_weights import fits, narrowed, pack, unpack
from tinytailor.compiler.opkey import key_of
from tinytailor.compiler.serialize import load_graph, save_graph
from tinytailor.targets import cross_toolchain, host_toolchain, load_target
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

VALUES = {1: (-1, 1), 2: range(-2, 2), 4: range(-8, 8), 8: range(-128, 128)}


@pytest.mark.parametrize("bits", VALUES)
def test_every_byte_holds_one_row_of_weights_and_every_row_has_its_byte(bits):
    packed = np.arange(256, dtype=np.uint8)[:, None]
    places = 8 // bits
    rows = unpack(packed, places, bits)
    np.testing.assert_array_equal(pack(rows, bits), packed)
    assert {tuple(row) for row in rows.tolist()} == set(product(VALUES[bits], repeat=places))


@pytest.mark.parametrize("bits", VALUES)
@pytest.mark.parametrize("count", range(1, 18))
def test_rows_of_any_length_come_back(bits, count):
    rng = np.random.default_rng(count)
    rows = rng.choice(np.array(VALUES[bits], np.int8), (3, count))
    packed = pack(rows, bits)
    assert packed.shape == (3, -(-count * bits // 8))
    np.testing.assert_array_equal(unpack(packed, count, bits), rows)


@pytest.mark.parametrize(("bits", "value"), [(1, 0), (2, 2), (2, -3), (4, 8), (4, -9)])
def test_weights_that_do_not_fit_are_refused(bits, value):
    rows = np.array([[1, value]], np.int8)
    assert not fits(rows, bits)
    with pytest.raises(InputError, match=f"do not fit {bits} bits"):
        pack(rows, bits)


def coarse(bits: int) -> Graph:
    """A network whose weights need only so many bits."""
    graph = residual_network()
    rng = np.random.default_rng(bits)

    def fitted(node: Node) -> Node:
        if node.op.with_weight_bits(8) is None:
            return node
        weight = rng.choice(np.array(VALUES[bits], np.int8), node.constants["weight"].shape)
        multiplier = node.constants["multiplier"].astype(np.int64) * 16
        scaled = np.minimum(multiplier, 2**31 - 1).astype(np.int32)
        constants = {**node.constants, "weight": weight, "multiplier": scaled}
        return replace(node, constants=constants)

    return replace(graph, nodes=tuple(fitted(node) for node in graph.nodes))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_packed_network_computes_the_same_from_less_flash(bits, tmp_path):
    graph, board = coarse(bits), load_target("nucleo-f446re")
    small = narrowed(graph)
    save_graph(small, tmp_path / "graph.npz")
    small = load_graph(tmp_path / "graph.npz")
    kinds = ("conv2d", "depthwise_conv2d", "dense")
    layers = [(a, b) for a, b in zip(graph.nodes, small.nodes, strict=True) if a.op.kind in kinds]
    assert {b.op.kind for _, b in layers} == set(kinds)
    for wide, narrow in layers:
        assert narrow.op.weight_bits == bits
        assert narrow.constants["weight"].nbytes < wide.constants["weight"].nbytes
        assert key_of(narrow, small, "dsp") != key_of(wide, graph, "dsp")
    x = np.random.default_rng(0).integers(-128, 128, (3, 13, 9, 3)).astype(np.int8)
    (expected,) = execute(graph, x)
    np.testing.assert_array_equal(execute(small, x)[0], expected)
    network = lower_graph(small, "dsp", "net")
    write_sources(network, board, cross_toolchain(), tmp_path, "")
    (actual,) = run_on_host(tmp_path, small, "net", host_toolchain(), [x])
    np.testing.assert_array_equal(actual, expected)


def test_weights_of_eight_bits_stay_as_they_are():
    graph = residual_network()
    small = narrowed(graph)
    assert all(a is b for a, b in zip(graph.nodes, small.nodes, strict=True))
