# SPDX-License-Identifier: Apache-2.0
"""The supernet is the networks it stands for, and its expected costs are their mean."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from fake_costs import FakeCosts
from tiny_spaces import everything, tiny_image_space, tiny_space

from tinytailor.latency_tables import Budget
from tinytailor.nas.cost import Parts, amounts, fit_parts
from tinytailor.nas.network.float_network import FloatNetwork, module_name
from tinytailor.nas.spaces import Space, TimeSeriesSpace, build_space
from tinytailor.nas.supernet.expected_cost import (
    ExpectedCost,
    expected_cost,
    penalty,
    price_slots,
    smooth_max,
)
from tinytailor.nas.supernet.supernet import Supernet
from tinytailor.nas.training.train import cross_entropy, endless_batches


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_supernet(space: Space, seed: int = 0) -> Supernet:
    """With uneven decisions and batch-norm statistics that are not the initial ones."""
    generator = seeded(seed)
    supernet = space.supernet(generator)
    with torch.no_grad():
        for alpha in supernet.alphas.values():
            alpha.copy_(torch.randn(alpha.shape, generator=generator))
        for name, value in supernet.named_buffers():
            if name.endswith(("mean", "var")):
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return supernet.eval()


def inherit(network: FloatNetwork, supernet: Supernet) -> None:
    """Copy the first channels of the supernet's weights into a discrete network."""
    for layer in network.topology.convs:
        slot = layer.name
        if slot.startswith("time"):
            slot = f"{slot}.k{layer.kernel[0]}"
        mine = network.block(layer.name).state_dict()
        theirs = supernet.blocks[module_name(slot)].state_dict()
        for key, value in mine.items():
            value.copy_(theirs[key][tuple(slice(n) for n in value.shape)])


@pytest.mark.parametrize("seed", range(6))
def test_a_certain_supernet_computes_the_exported_network(seed: int) -> None:
    space = TimeSeriesSpace(40, 6, 4)
    supernet = random_supernet(space)
    arch = space.sample(np.random.default_rng(seed))
    network = FloatNetwork(space.topology(arch), seeded(1)).eval()
    inherit(network, supernet)
    x = torch.randn((3, 1, 40, 6), generator=seeded(2))
    with torch.no_grad():
        expected = supernet(x, supernet.one_hot(arch))
        torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tiny", [tiny_space, tiny_image_space])
def test_expected_latency_and_flash_are_the_mean_over_all_networks(
    tiny: Callable[[], Space],
) -> None:
    space = tiny()
    supernet = random_supernet(space)
    parts = fit_parts(space, FakeCosts(), seed=0)
    with torch.no_grad():
        cost = expected(supernet, parts)
    mean = np.zeros(3)
    for network in everything(space):
        share = np.exp(supernet.log_probability(network))
        mean += share * np.array(amounts(parts.part(space.topology(network))))
    assert float(cost.latency_ms) == pytest.approx(mean[0] + parts.latency_base, rel=1e-4)
    assert float(cost.flash_bytes) == pytest.approx(mean[2] + parts.flash_base, rel=1e-4)


def expected(supernet: Supernet, parts: Parts) -> ExpectedCost:
    prices = price_slots(tuple(supernet.slots.values()), parts)
    return expected_cost(supernet.placements(supernet.probabilities()), prices, parts)


@pytest.mark.parametrize(("tiny", "step"), [(tiny_space, 97), (tiny_image_space, 17)])
def test_expected_memory_of_a_certain_network_is_its_largest_operator(
    tiny: Callable[[], Space], step: int
) -> None:
    space = tiny()
    supernet = random_supernet(space)
    parts = Parts(FakeCosts())
    prices = price_slots(tuple(supernet.slots.values()), parts)
    for network in everything(space)[::step]:
        placed = supernet.placements(supernet.one_hot(network))
        ram = float(expected_cost(placed, prices, parts).ram_bytes)
        exact = parts.part(space.topology(network)).ram_bytes
        assert exact - 1 <= ram <= 1.25 * exact


@pytest.mark.parametrize("kind", ["cross_entropy", "latency_ms", "ram_bytes", "flash_bytes"])
def test_decisions_receive_gradients_from_every_term(kind: str) -> None:
    space = build_space("timeseries", 40, 6, 4)
    supernet = space.supernet(seeded(0))
    supernet.train()
    if kind == "cross_entropy":
        x = torch.randn((8, 1, 40, 6), generator=seeded(1))
        y = torch.arange(8) % 4
        term = cross_entropy(supernet(x, supernet.draw(1.0, seeded(2))), y)
    else:
        term = getattr(expected(supernet, Parts(FakeCosts())), kind)
    term.backward()
    for name, alpha in supernet.alphas.items():
        assert alpha.grad is not None, name
        assert torch.isfinite(alpha.grad).all(), name
        # A kernel's length changes no tensor, so memory may be indifferent to it.
        if kind != "ram_bytes" or name.endswith(("channels", "bottleneck")):
            assert alpha.grad.abs().max() > 0, name


def test_the_penalty_is_zero_within_the_budget_and_grows_beyond_it() -> None:
    space = build_space("timeseries", 40, 6, 4)
    supernet = space.supernet(seeded(0))
    cost = expected(supernet, Parts(FakeCosts()))
    latency = float(cost.latency_ms.detach())
    assert float(penalty(cost, Budget(latency_ms=latency * 1.01)).detach()) == 0.0
    over = penalty(cost, Budget(latency_ms=latency / 2))
    assert float(over.detach()) == pytest.approx(np.log(2), rel=1e-3)
    over.backward()
    assert any(a.grad is not None and a.grad.abs().max() > 0 for a in supernet.alphas.values())
    assert float(penalty(cost, Budget()).detach()) == 0.0


def test_every_large_operator_gets_a_share_of_the_memory_gradient() -> None:
    values = torch.tensor([100.0, 99.0, 10.0], requires_grad=True)
    top = smooth_max(values)
    top.backward()
    assert float(top.detach()) >= 100.0
    assert values.grad is not None
    assert values.grad[1] > 0.3
    assert values.grad[2] < 1e-6


def test_softmax_runs_over_options_and_over_classes_not_over_the_batch() -> None:
    supernet = random_supernet(tiny_space())
    for drawn in (supernet.probabilities(), supernet.draw(0.7, seeded(0))):
        for p in drawn.values():
            assert p.ndim == 1
            assert float(p.sum().detach()) == pytest.approx(1.0, abs=1e-5)
    logits, y = torch.randn((5, 3), generator=seeded(0)), torch.tensor([0, 2, 1, 1, 0])
    shares = torch.exp(logits) / torch.exp(logits).sum(dim=1, keepdim=True)
    by_hand = -torch.log(shares[torch.arange(5), y]).mean()
    torch.testing.assert_close(cross_entropy(logits, y), by_hand)


def test_consecutive_steps_see_different_series_and_an_epoch_sees_all() -> None:
    batches = list(itertools.islice(endless_batches(10, 4, seeded(0)), 6))
    for epoch in (batches[:3], batches[3:]):
        assert sorted(torch.cat(epoch).tolist()) == list(range(10))
    assert batches[0].tolist() != batches[3].tolist()


def test_drawing_and_sampling_follow_the_generator_alone() -> None:
    supernet = random_supernet(tiny_space())
    torch.manual_seed(1)
    a = supernet.sample(seeded(5)), supernet.draw(1.0, seeded(6))
    torch.manual_seed(2)
    b = supernet.sample(seeded(5)), supernet.draw(1.0, seeded(6))
    assert a[0] == b[0]
    assert all(torch.equal(a[1][name], b[1][name]) for name in a[1])
