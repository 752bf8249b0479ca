# SPDX-License-Identifier: Apache-2.0
"""Companding of every int16, on every core; and what a graph of samples has to be."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from tinytailor.compiler.ir import Graph, Node, Tensor, check
from tinytailor.compiler.kernels.compand.plain import BY_HASH
from tinytailor.compiler.mcu.kernel_image import kernel_image
from tinytailor.compiler.ops import Compand, Reshape
from tinytailor.compiler.ops.compand import OCTAVES, SHIFT, octaves
from tinytailor.compiler.ops.traits.ranges import full
from tinytailor.compiler.passes import optimize
from tinytailor.targets import Buffer, Call, cross_toolchain, default_runner, load_target, run_on
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.emulator, pytest.mark.qemu, pytest.mark.tvm]

BOARDS = (
    "nucleo-g0b1re",
    "nucleo-f207zg",
    "nucleo-f446re",
    "nucleo-h743zi",
    "nucleo-l552ze-q",
    "mps3-an547",
)
EVERY = np.arange(-32768, 32768).astype(np.int16)
TIME, CHANNELS = 4096, 2
SHAPE = (1, TIME, 1, CHANNELS)


def pieces(segmented: bool) -> dict[str, np.ndarray]:
    """Four channels: of no offset, of either end of int16, and of sums that just fit 32 bits."""
    rng = np.random.default_rng(5)
    columns = OCTAVES if segmented else 1
    octave = np.arange(columns) if segmented else np.array([OCTAVES - 1])
    slope = rng.integers(1, 30, (4, columns)) * (1 << SHIFT + 1 - np.maximum(octave, 1))
    base = rng.integers(0, 60 << SHIFT, (4, columns))
    slope[3], base[3] = (1 << 31) // 32768, (1 << 31) - 1 - 32767 * ((1 << 31) // 32768)
    return {
        "source": np.array([0, 1, 0, 1], np.int16),
        "offset": np.array([0, 32767, -32768, 3], np.int16),
        "slope": slope.astype(np.int32),
        "base": base.astype(np.int32),
    }


def graph(segmented: bool = True, **constants: np.ndarray) -> Graph:
    op = Compand(4, 1, segmented, zero_point=-3)
    tensors = {"x": Tensor("x", SHAPE, "int16"), "y": Tensor("y", op.output_shape(SHAPE))}
    arrays = {**pieces(segmented), **constants}
    return check(Graph("g", ("x",), ("y",), tensors, (Node("entry", op, ("x",), "y", arrays),)))


def by_definition(x: int, op: Compand, constants: dict[str, np.ndarray], k: int) -> int:
    """One number, in Python's integers."""
    t = x - int(constants["offset"][k])
    a = min(abs(t), 32767)
    e = a.bit_length() if op.segmented else 0
    y = (a * int(constants["slope"][k, e]) + int(constants["base"][k, e])) >> 16
    return max(-128, min(127, op.zero_point + (y if t >= 0 else -y)))


@pytest.mark.parametrize("segmented", [True, False])
def test_the_meaning_is_the_definition(segmented):
    (node,) = graph(segmented).nodes
    x = np.concatenate([EVERY[::97], EVERY[-3:], np.arange(-70, 70)]).astype(np.int16)
    y = node.op.reference((np.stack([x, x], axis=1)[None, :, None],), node.constants)
    expected = [[by_definition(int(v), node.op, node.constants, k) for k in range(4)] for v in x]
    np.testing.assert_array_equal(y[0, :, 0], expected)


def test_octaves_are_bits():
    a = np.arange(32768)
    np.testing.assert_array_equal(octaves(a), [int(v).bit_length() for v in a])


def test_no_two_pieces_of_the_plain_kernel_share_a_place():
    assert len(set(BY_HASH.places)) == len(BY_HASH.places) == OCTAVES + 1


@pytest.mark.parametrize("segmented", [True, False])
@pytest.mark.parametrize("name", BOARDS)
def test_every_sample_becomes_the_same_number_on_every_core(name, segmented, tmp_path):
    board, network = load_target(name), graph(segmented)
    runner = default_runner(board)
    if runner == "qemu" and shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not on PATH")
    (node,) = network.nodes
    rows = np.stack([EVERY, EVERY[::-1]], axis=1).reshape(-1, *SHAPE[1:])
    image = kernel_image([("k", network)], board, cross_toolchain(), tmp_path, runner)
    size = image.kernels[0].output_bytes
    calls = [
        Call("k", (Buffer(row.nbytes, row.tobytes(), constant=True), Buffer(size, read_back=True)))
        for row in rows
    ]
    results = run_on(runner, image.elf, board, calls, count=False)
    found = np.stack([np.frombuffer(result.outputs[0], np.int8) for result in results])
    expected = node.op.reference((rows,), node.constants)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


def test_ranges_are_exact():
    (node,) = graph().nodes
    x = np.stack([EVERY, EVERY], axis=1)[None, :, None]
    for low, high in ((-32768, 32767), (-5, 300), (17, 17), (-20000, -19)):
        taken = x[:, (x[0, :, 0, 0] >= low) & (x[0, :, 0, 0] <= high)]
        y = node.op.reference((taken,), node.constants)
        found = node.op.ranges((full(CHANNELS, low, high),), (SHAPE,), node.constants)
        np.testing.assert_array_equal(found.low, y.min(axis=(0, 1, 2)))
        np.testing.assert_array_equal(found.high, y.max(axis=(0, 1, 2)))


@pytest.mark.parametrize("segmented", [True, False])
def test_sums_beyond_32_bits_are_refused(segmented):
    base = pieces(segmented)["base"].copy()
    base[3, -1] += 1
    with pytest.raises(
        InputError, match=r"node entry: the accumulator of channel 3 can reach 2147"
    ):
        graph(segmented, base=base)


def test_samples_are_read_by_what_makes_int8_of_them_only():
    whole = graph()
    tensors = {**whole.tensors, "z": Tensor("z", (1, TIME * CHANNELS), "int16")}
    other = Node("flat", Reshape((1, TIME * CHANNELS)), ("x",), "z")
    broken = replace(whole, tensors=tensors, nodes=(*whole.nodes, other), outputs=("y", "z"))
    with pytest.raises(InputError, match=r"node flat \(reshape\) reads input x, int16 samples"):
        check(broken)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"filters": 0}, "0 channels of every 1 samples"),
        ({"step": 0}, "4 channels of every 0 samples"),
        ({"segmented": False}, r"has constants .*expected .*\(4, 1\)"),
        ({"filters": 5}, "makes shape .*but y is declared"),
    ],
)
def test_an_operator_that_does_not_fit_is_refused(change, text):
    whole = graph()
    (node,) = whole.nodes
    with pytest.raises(InputError, match=text):
        check(replace(whole, nodes=(replace(node, op=replace(node.op, **change)),)))


def test_passes_leave_samples_alone():
    whole = graph()
    found, _ = optimize(whole)
    assert [node.op for node in found.nodes] == [node.op for node in whole.nodes]
