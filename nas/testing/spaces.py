# SPDX-License-Identifier: Apache-2.0
"""The conformance kit of search spaces: what follows from cells is what brute force finds.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_space(check):
        check(MY_SPACE)

Brute force visits all networks of the kind's tiny space, samples are drawn from its example.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from tinytailor.compiler.ir import check
from tinytailor.compiler.memory.aliasing import computing
from tinytailor.compiler.opkey import OpKey, key_of
from tinytailor.compiler.passes import optimize
from tinytailor.nas.cost import Parts, amounts, fit_parts
from tinytailor.nas.network.float_network import FloatNetwork, module_name
from tinytailor.nas.network.graphs import compiled_keys, placeholder_graph
from tinytailor.nas.search.cheapest import cheapest
from tinytailor.nas.spaces import Architecture, Space, SpaceKind, architecture, neighbours
from tinytailor.nas.spaces.cells import resolved
from tinytailor.nas.supernet.expected_cost import ExpectedCost, expected_cost, price_slots
from tinytailor.nas.supernet.supernet import Supernet
from tinytailor.nas.testing.costs import FormulaCosts
from tinytailor.nas.testing.networks import seeded
from tinytailor.nas.training.train import cross_entropy
from tinytailor.targets.core import Isa
from tinytailor.targets.errors import InputError
from tinytailor.targets.testing.refusals import refused

SWING = 8000  # of samples
ISAS = tuple(str(isa) for isa in Isa)


def every_sampled_network_is_well_formed(kind: SpaceKind) -> None:
    space = kind.make(*kind.example)
    rng = np.random.default_rng(0)
    for arch in (space.smallest(), space.largest(), *(space.sample(rng) for _ in range(20))):
        graph = check(placeholder_graph(space.topology(arch)))
        assert graph.tensors["input"].shape == (1, *space.input_shape)
        assert graph.tensors["output"].shape == (1, space.classes)


def the_keys_are_those_of_all_networks_and_no_others(kind: SpaceKind) -> None:
    space = kind.tiny()
    used: set[OpKey] = set()
    for topology in {space.topology(arch) for arch in everything(space)}:
        used.update(topology.keys("dsp"), compiled_keys(topology, "dsp"))
    for isa in ISAS:
        assert set(space.keys(isa)) == {replace(key, isa=isa) for key in used}


def compiled_keys_are_those_of_the_graph_that_is_priced(kind: SpaceKind) -> None:
    space = kind.make(*kind.example)
    rng = np.random.default_rng(1)
    for _ in range(5):
        topology = space.topology(space.sample(rng))
        graph, _ = optimize(placeholder_graph(topology), weights=False)
        priced = [key_of(node, graph, "dsp") for node in computing(graph)]
        assert priced == list(compiled_keys(topology, "dsp"))


def an_architecture_survives_json_and_wrong_ones_are_refused(kind: SpaceKind) -> None:
    space = kind.make(*kind.example)
    arch = space.sample(np.random.default_rng(3))
    assert Architecture.from_json(json.loads(json.dumps(arch.to_json()))) == arch
    choice = dict(arch.choices)
    first = space.decisions[0].name
    with refused(InputError, f"{first} is -1, expected one of"):
        architecture(space, {**choice, first: -1})
    with refused(InputError, "has no decision depth"):
        architecture(space, {**choice, "depth": 1})
    with refused(InputError, "is not one of"):
        kind.tiny().topology(arch)


def neighbours_differ_in_exactly_one_decision(kind: SpaceKind) -> None:
    space = kind.make(*kind.example)
    near = neighbours(space, space.smallest())
    assert len(near) == sum(len(d.options) - 1 for d in space.decisions)
    for arch in near:
        pairs = zip(arch.choices, space.smallest().choices, strict=True)
        assert sum(a != b for a, b in pairs) == 1


def the_cheapest_networks_are_those_of_an_exhaustive_search(kind: SpaceKind) -> None:
    space = kind.tiny()
    parts = Parts(FormulaCosts(), latency_node=0.01, flash_node=40)
    costs = [amounts(parts.part(space.topology(arch))) for arch in everything(space)]
    for k, arch in enumerate(cheapest(space, parts)):
        found = amounts(parts.part(space.topology(arch)))[k]
        assert np.isclose(found, min(cost[k] for cost in costs), rtol=1e-6)


def a_certain_supernet_computes_the_exported_network(kind: SpaceKind) -> None:
    for space in (kind.tiny(), kind.make(*kind.example)):
        supernet = random_supernet(space)
        x = random_samples(space, 3, seed=2)
        rng = np.random.default_rng(0)
        for arch in (space.largest(), *(space.sample(rng) for _ in range(4))):
            network = FloatNetwork(space.topology(arch), seeded(1)).eval()
            with torch.no_grad():
                inherit(network, supernet, arch)
                found, wanted = network(x), supernet(x, supernet.one_hot(arch))
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
            assert found.std() > 1e-3


def expected_latency_and_flash_are_the_mean_over_all_networks(kind: SpaceKind) -> None:
    space = kind.tiny()
    supernet, parts = random_supernet(space), fit_parts(space, FormulaCosts(), seed=0)
    with torch.no_grad():
        cost = expected(supernet, parts)
    mean = np.zeros(3)
    for arch in everything(space):
        share = np.exp(supernet.log_probability(arch))
        mean += share * np.array(amounts(parts.part(space.topology(arch))))
    assert np.isclose(float(cost.latency_ms), mean[0] + parts.latency_base, rtol=1e-4)
    assert np.isclose(float(cost.flash_bytes), mean[2] + parts.flash_base, rtol=1e-4)


def expected_memory_of_a_certain_network_is_its_largest_layer(kind: SpaceKind) -> None:
    """Smoothly: at most t log(layers) more; and the layers alone give it to the byte."""
    space = kind.tiny()
    supernet, parts = random_supernet(space), Parts(FormulaCosts())
    prices = price_slots(tuple(supernet.slots.values()), parts)
    networks = everything(space)
    for arch in networks[:: max(1, len(networks) // 50)]:
        placed = supernet.placements(supernet.one_hot(arch))
        exact = parts.part(space.topology(arch)).ram_bytes
        inner = [q.widths_out @ prices[q.slot.name].inner_bytes @ q.widths_in for q in placed]
        pairs = zip(placed, inner, strict=True)
        assert np.isclose(max(float(q.alive_bytes + q.presence * i) for q, i in pairs), exact)
        assert exact - 1 <= float(expected_cost(placed, prices, parts).ram_bytes) <= 1.25 * exact


def the_supernet_asks_for_prices_that_the_space_lists(kind: SpaceKind) -> None:
    space = kind.tiny()
    for isa in ISAS:
        wanted = {
            key
            for slot in Supernet(space, seeded(0)).slots.values()
            for i in slot.inputs
            for o in slot.outputs
            for key in slot.topology(i, o).keys(isa)
        }
        assert wanted <= set(space.keys(isa))


def decisions_receive_gradients_from_every_term(kind: SpaceKind) -> None:
    space = kind.tiny()
    x = random_samples(space, 6, seed=1)
    y = torch.arange(6) % space.classes
    chosen = {module_name(d.name) for d in space.decisions if len(d.options) > 1}
    for term in ("cross_entropy", "latency_ms", "ram_bytes", "flash_bytes"):
        supernet = Supernet(space, seeded(0)).train()
        if term == "cross_entropy":
            cross_entropy(supernet(x, supernet.draw(1.0, seeded(2))), y).backward()
        else:
            getattr(expected(supernet, Parts(FormulaCosts())), term).backward()
        largest = {name: _largest_gradient(supernet.alphas[name]) for name in chosen}
        assert all(np.isfinite(size) for size in largest.values()), term
        # A kernel's size changes no tensor, and a small map hides behind large ones.
        assert (any if term == "ram_bytes" else all)(size > 0 for size in largest.values()), term


def drawing_and_sampling_follow_the_generator_alone(kind: SpaceKind) -> None:
    supernet = random_supernet(kind.tiny())
    torch.manual_seed(1)
    a = supernet.sample(seeded(5)), supernet.draw(1.0, seeded(6))
    torch.manual_seed(2)
    b = supernet.sample(seeded(5)), supernet.draw(1.0, seeded(6))
    assert a[0] == b[0]
    assert all(torch.equal(a[1][name], b[1][name]) for name in a[1])
    for p in (*a[1].values(), *supernet.probabilities().values()):
        assert p.ndim == 1
        assert np.isclose(float(p.sum().detach()), 1.0, atol=1e-5)


Check = Callable[[SpaceKind], None]
CHECKS: tuple[Check, ...] = (
    every_sampled_network_is_well_formed,
    the_keys_are_those_of_all_networks_and_no_others,
    compiled_keys_are_those_of_the_graph_that_is_priced,
    an_architecture_survives_json_and_wrong_ones_are_refused,
    neighbours_differ_in_exactly_one_decision,
    the_cheapest_networks_are_those_of_an_exhaustive_search,
    a_certain_supernet_computes_the_exported_network,
    expected_latency_and_flash_are_the_mean_over_all_networks,
    expected_memory_of_a_certain_network_is_its_largest_layer,
    the_supernet_asks_for_prices_that_the_space_lists,
    decisions_receive_gradients_from_every_term,
    drawing_and_sampling_follow_the_generator_alone,
)


def random_samples(space: Space, count: int, seed: int) -> Tensor:
    """(N, C, H, W) of about the size that its networks read: standardised, or of a sensor."""
    height, width, channels = space.input_shape
    x = torch.randn((count, channels, height, width), generator=seeded(seed))
    return torch.round(SWING * x) if space.sampled else x


def everything(space: Space) -> list[Architecture]:
    """All networks of a small space."""
    names = [d.name for d in space.decisions]
    return [
        architecture(space, dict(zip(names, options, strict=True)))
        for options in product(*(d.options for d in space.decisions))
    ]


def random_supernet(space: Space, seed: int = 0) -> Supernet:
    """With uneven decisions and batch-norm statistics that are not the initial ones."""
    generator = seeded(seed)
    supernet = Supernet(space, generator)
    with torch.no_grad():
        for alpha in supernet.alphas.values():
            alpha.copy_(torch.randn(alpha.shape, generator=generator))
        for name, value in supernet.named_buffers():
            if name.endswith("mean"):
                value.copy_(0.2 * torch.randn(value.shape, generator=generator))
            elif name.endswith("var"):
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return supernet.eval()


def expected(supernet: Supernet, parts: Parts) -> ExpectedCost:
    """The expected cost under the supernet's own probabilities."""
    prices = price_slots(tuple(supernet.slots.values()), parts)
    return expected_cost(supernet.placements(supernet.probabilities()), prices, parts)


def inherit(network: FloatNetwork, supernet: Supernet, arch: Architecture) -> None:
    """Copy the first channels of the shared weights into the network of ``arch``."""
    choice = dict(arch.choices)
    for cell in supernet.space.cells:
        uses, _ = resolved(cell, lambda when: choice[when.decision] in when.options)
        for use in uses:
            for step in supernet.slots[use.slot].widest().steps:
                name = use.name + step.name.removeprefix(use.slot)
                if module_name(name) in network.steps:
                    _copy(network.steps.trained(name), supernet.steps.trained(step.name))


def _copy(narrow: nn.Module, wide: nn.Module) -> None:
    theirs = wide.state_dict()
    for key, value in narrow.state_dict().items():
        value.copy_(theirs[key][tuple(slice(n) for n in value.shape)])


def _largest_gradient(alpha: Tensor) -> float:
    return float("nan") if alpha.grad is None else float(alpha.grad.abs().max())
