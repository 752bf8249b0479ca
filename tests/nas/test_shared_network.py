# SPDX-License-Identifier: Apache-2.0
"""Shared weights: a network in them is the network that is taken out, and training resumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tinytailor.nas.network.float_network import FloatNetwork
from tinytailor.nas.spaces import SPACES, Space, SpaceKind, architecture
from tinytailor.nas.supernet.sandwich import train_shared
from tinytailor.nas.supernet.shared import SharedNetwork
from tinytailor.nas.testing.networks import seeded
from tinytailor.nas.testing.recipes import recipe_of
from tinytailor.nas.testing.spaces import random_samples
from tinytailor.nas.training.samples import Samples, standard_samples
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.torch]


@pytest.mark.parametrize("kind", SPACES.values(), ids=SPACES)
def test_a_network_in_shared_weights_is_the_one_that_is_taken_out(kind: SpaceKind) -> None:
    space = kind.tiny()
    shared, x = SharedNetwork(space, seeded(0)), random_samples(space, 16, seed=1)
    rng = np.random.default_rng(0)
    for arch in (space.largest(), space.smallest(), *(space.sample(rng) for _ in range(4))):
        network = shared.network(arch, x)
        with torch.no_grad():
            inside, alone = shared(x, arch), network.train()(x)
        torch.testing.assert_close(inside, alone, rtol=1e-3, atol=1e-3)
        with torch.no_grad():
            calm = network.eval()(x)
        # Statistics were estimated on these samples, but for n / (n - 1) in the variance.
        torch.testing.assert_close(calm, inside, rtol=0.2, atol=0.2)


def test_small_kernels_are_the_middle_of_large_ones() -> None:
    space = SPACES["series"].make(128, 3, 2)
    shared = SharedNetwork(space, seeded(0))
    choice = dict(space.largest().choices)
    weights = {}
    for kernel in (3, 5):
        arch = architecture(space, {**choice, "stage1.reduce.kernel": kernel})
        network = shared.network(arch, random_samples(space, 4, seed=0))
        weights[kernel] = network.steps.trained("stage1.reduce").state_dict()["weight"]
    assert weights[5].shape[2] == 5
    assert torch.equal(weights[3], weights[5][:, :, 1:4])


def waves(space: Space, count: int = 48) -> Samples:
    """Two frequencies in noise, as a network of ``space`` reads them."""
    height, width, channels = space.input_shape
    y = torch.arange(count) % 2
    time = torch.arange(height)[None, :, None, None] / height
    phase = torch.rand((count, 1, 1, 1), generator=seeded(0))
    x = torch.sin(6.28 * ((2 + 3 * y[:, None, None, None]) * time + phase))
    x = x.expand(count, height, width, channels)
    noise = 0.1 * torch.randn(x.shape, generator=seeded(1))
    return standard_samples((8000 if space.sampled else 1) * (x + noise), y)


def test_training_along_single_paths_learns_and_resumes_to_the_same_weights(
    tmp_path: Path,
) -> None:
    space = SPACES["series"].tiny()
    samples, recipe = waves(space), recipe_of(epochs=6)

    def train(checkpoint: Path | None, stop_after: int = 0) -> tuple[SharedNetwork, list[float]]:
        shared = SharedNetwork(space, seeded(0))

        def on_epoch(done: int, total: int, loss: float) -> None:
            if done == stop_after:
                raise KeyboardInterrupt

        losses = train_shared(shared, samples, recipe, 3, checkpoint=checkpoint, on_epoch=on_epoch)
        return shared, losses

    whole, losses = train(None)
    assert losses[-1] < losses[0]
    path = tmp_path / "fold.pt"
    with pytest.raises(KeyboardInterrupt):
        train(path, stop_after=2)
    resumed, again = train(path)
    assert again == losses
    theirs = resumed.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in whole.state_dict().items())
    with pytest.raises(InputError, match=r"cannot continue from checkpoint .*it was trained as"):
        train_shared(SharedNetwork(space, seeded(0)), samples, recipe, 4, checkpoint=path)


def test_the_sandwich_trains_small_networks_beside_the_largest() -> None:
    space = SPACES["series"].tiny()
    samples = waves(space)
    shared = SharedNetwork(space, seeded(0))
    train_shared(shared, samples, recipe_of(epochs=40), 0)
    x, rng = samples.inputs(), np.random.default_rng(1)
    for arch in (space.largest(), space.smallest(), *(space.sample(rng) for _ in range(3))):
        network: FloatNetwork = shared.network(arch, x)
        with torch.no_grad():
            right = network(x).argmax(1) == samples.y
        assert float(right.float().mean()) > 0.85
