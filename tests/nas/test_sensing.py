# SPDX-License-Identifier: Apache-2.0
"""From a sensor's samples to int8: which channels are companded, and by which integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tinytailor.compiler.ir import Tensor
from tinytailor.compiler.ops.compand import ENDS, companded, octaves
from tinytailor.nas.layers.sensing import SENSED, Sensing, TrainedSensing
from tinytailor.nas.quantization import QUANTIZERS
from tinytailor.nas.training.front_end import FrontEnd, front_end

pytestmark = [pytest.mark.torch]

STEPS = 20_000


def recordings() -> np.ndarray:
    """Gravity that turns, and a sensor at rest most of the time: (N, 2) samples."""
    rng = np.random.default_rng(0)
    turning = 3000 * np.sin(np.arange(STEPS) / 50) + 500
    active = rng.random(STEPS) < 0.05
    resting = rng.normal(size=STEPS) * np.where(active, 4000, 15) - 7
    return np.rint(np.stack([turning, resting], axis=1))


@pytest.fixture(scope="module")
def found() -> FrontEnd:
    return front_end(recordings())


def network_of(found: FrontEnd, companding: bool) -> TrainedSensing:
    module = TrainedSensing(Sensing((0, 1), companding=companding))
    found.fill(module)
    return module


def integers_of(module: TrainedSensing, x: np.ndarray) -> np.ndarray:
    """int8 (N, T, 1, 2) as the device computes them."""
    sensing, shape = module.sensing, (1, x.shape[1], 1, 2)
    quantizer = QUANTIZERS["int8"]
    reads, writes = Tensor("x", shape, "int16"), Tensor("y", shape, "int8", SENSED.scale)
    whole = sensing.integers(module.folded(), quantizer, (reads,), writes)
    op, constants = sensing.filled(sensing.operator(shape), whole, (reads,), writes)
    return op.reference((x,), constants)


def test_only_the_heavy_tailed_channel_is_companded(found: FrontEnd) -> None:
    assert found.heavy.tolist() == [False, True]
    assert len(set(found.lines.companded[0][0].tolist())) == 1
    assert len(set(found.lines.companded[0][1].tolist())) > 5


def test_lines_rise_reach_the_ends_and_stay_within_31_bits(found: FrontEnd) -> None:
    slope, base = (
        found.lines.companded[0].numpy().astype(np.int64),
        found.lines.companded[1].numpy().astype(np.int64),
    )
    pieces = octaves(ENDS)
    assert (ENDS * slope[:, pieces] + base[:, pieces]).max() < 2**31
    t = np.arange(-32768, 32768)[:, None].repeat(2, axis=1)
    q = companded(t, slope, base, 0, segmented=True).astype(int)
    assert (np.diff(q, axis=0) >= 0).all()
    assert (q.min(axis=0) <= -127).all()
    assert (q.max(axis=0) == 127).all()


def test_a_sensor_at_rest_is_seen_in_finer_steps(found: FrontEnd) -> None:
    t = np.array([[0, 0], [15, 15]])
    lines = (
        found.lines.companded[0].numpy().astype(int),
        found.lines.companded[1].numpy().astype(int),
    )
    rest = companded(t, *lines, 0, segmented=True)[1].astype(int)
    straight = found.lines.straight[0].numpy().astype(int), np.full((2, 1), 2**15)
    plain = companded(t, *straight, 0, segmented=False)[1].astype(int)
    assert rest[1] >= 3 > plain[1]
    assert rest[0] == plain[0]


@pytest.mark.parametrize("companding", [False, True])
def test_training_sees_what_the_integers_are_but_for_their_rounding(
    found: FrontEnd, companding: bool
) -> None:
    module = network_of(found, companding)
    x = recordings()[:4000].reshape(4, 1000, 1, 2)
    seen = module(torch.from_numpy(x).float().permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    q = integers_of(module, x.astype(np.int16))
    apart = np.abs(seen.numpy() / SENSED.scale - q)
    assert apart.max() <= 0.51
    assert len(np.unique(q)) > 100


def test_some_channels_at_half_the_rate(found: FrontEnd) -> None:
    sensing = Sensing((1,), step=2)
    module = TrainedSensing(sensing)
    found.fill(module)
    x = torch.from_numpy(recordings()[:100]).float().T.reshape(1, 2, 100, 1)
    whole = network_of(found, True)(x)
    torch.testing.assert_close(module(x), whole[:, 1:, ::2])
