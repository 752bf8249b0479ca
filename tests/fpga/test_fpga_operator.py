# SPDX-License-Identifier: Apache-2.0
"""SquareDeformDW: its reference against the eight masked depthwise convolutions it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from chain import build_chain, build_graph, masked_dilated_sum

from tinytailor.compiler.ir import Node
from tinytailor.compiler.ops.square_deform_dw import SquareDeformDW
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.pure]


def random_case(
    shape: tuple[int, ...], seed: int
) -> tuple[SquareDeformDW, np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    channels = shape[3]
    constants = {
        "offset_weight": rng.integers(-128, 128, channels, dtype=np.int8),
        "offset_bias": rng.integers(0, 7 << 12, 1, dtype=np.int32),
        "offset_multiplier": np.array([1 << 20], np.int32),
        "weight": rng.integers(-128, 128, (3, 3, channels), dtype=np.int8),
        "bias": rng.integers(-(1 << 16), 1 << 16, channels, dtype=np.int32),
        "multiplier": rng.integers(1 << 18, 1 << 22, channels, dtype=np.int32),
    }
    op = SquareDeformDW(int(rng.integers(-128, 128)), requant=Requant(int(rng.integers(-9, 9))))
    return op, rng.integers(-128, 128, shape, dtype=np.int8), constants


@pytest.mark.parametrize("shape", [(2, 9, 11, 5), (1, 1, 1, 3), (1, 20, 3, 17), (3, 4, 30, 1)])
@pytest.mark.parametrize("seed", range(4))
def test_it_equals_the_masked_sum_of_dilated_depthwise_convolutions(
    shape: tuple[int, ...], seed: int
) -> None:
    op, x, constants = random_case(shape, seed)
    d = op.dilations(x, constants)
    acc = masked_dilated_sum(x, d, constants["weight"], op.input_zero_point) + constants["bias"]
    expected = op.requant.apply(acc, constants["multiplier"])
    np.testing.assert_array_equal(op.reference((x,), constants), expected)


@pytest.mark.parametrize("dilation", range(8))
def test_a_constant_offset_is_the_plain_depthwise_convolution_of_that_dilation(
    dilation: int,
) -> None:
    op, x, constants = random_case((1, 16, 16, 4), seed=dilation)
    constants["offset_weight"] = np.zeros(4, np.int8)
    constants["offset_bias"] = np.array([dilation << 12], np.int32)
    d = op.dilations(x, constants)
    assert set(d.ravel()) == {dilation}
    acc = np.zeros(x.shape, np.int64) + constants["bias"]
    for row in range(16):
        for column in range(16):
            for i in (-1, 0, 1):
                for j in (-1, 0, 1):
                    y, z = row + i * dilation, column + j * dilation
                    inside = 0 <= y < 16 and 0 <= z < 16
                    tap = x[0, y, z].astype(np.int64) if inside else op.input_zero_point
                    acc[0, row, column] += tap * constants["weight"][i + 1, j + 1].astype(np.int64)
    expected = op.requant.apply(acc, constants["multiplier"])
    np.testing.assert_array_equal(op.reference((x,), constants), expected)


def test_offsets_round_half_up_and_are_held_between_0_and_7() -> None:
    op = SquareDeformDW()
    halves = np.array([-9, -1, 1, 2, 3, 5, 14, 15, 40], np.int64)  # in half pixels
    d = []
    for value in halves:
        constants = {
            "offset_weight": np.zeros(1, np.int8),
            "offset_bias": np.array([value], np.int32),
            "offset_multiplier": np.array([2**31 - 1], np.int32),
        }
        constants["offset_multiplier"][0] = 1 << 30  # a quarter; shift 1 makes it a half
        shifted = SquareDeformDW(offset_shift=1)
        d.append(int(shifted.dilations(np.zeros((1, 1, 1, 1), np.int8), constants)[0, 0, 0]))
    assert d == [0, 0, 1, 1, 2, 3, 7, 7, 7]
    assert op.offset_shift == 0


def test_a_batch_gives_what_its_images_give_alone() -> None:
    op, x, constants = random_case((3, 6, 7, 4), seed=5)
    alone = [op.reference((x[n : n + 1],), constants) for n in range(3)]
    np.testing.assert_array_equal(op.reference((x,), constants), np.concatenate(alone))


def test_a_vector_input_is_refused_with_the_expected_shape() -> None:
    with pytest.raises(InputError, match=r"expected \(1, height, width, channels\)"):
        SquareDeformDW().output_shape((1, 10))


def test_an_operator_made_from_a_key_has_that_key() -> None:
    key = SquareDeformDW(offset_shift=1, requant=Requant(shift=1)).key_attributes()
    assert SquareDeformDW.from_key(key).key_attributes() == key


def test_work_counts_nine_taps_and_the_offset_per_channel_and_pixel() -> None:
    assert SquareDeformDW().macs((1, 4, 5, 16)) == 4 * 5 * 16 * 10


def test_the_test_chain_reaches_every_dilation_and_uses_its_output_range() -> None:
    chain = build_chain()
    x = chain.images(2, seed=3)
    nodes: tuple[Node, ...] = build_graph(chain).nodes
    for node in nodes:
        if isinstance(node.op, SquareDeformDW):
            assert set(node.op.dilations(x, node.constants).ravel()) == set(range(8))
        x = node.op.reference((x,), node.constants)
        assert x.std() > 20
