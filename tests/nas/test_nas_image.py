# SPDX-License-Identifier: Apache-2.0
"""The image space: exact keys, exact minima, one supernet for all of its networks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from fake_costs import FakeCosts
from test_nas_supernet import expected, random_supernet, seeded
from tiny_spaces import everything, tiny_image_space

from tinytailor.compiler.ir import check
from tinytailor.compiler.opkey import OpKey
from tinytailor.nas.cost import Parts, alive_bytes, amounts
from tinytailor.nas.network.float_network import FloatNetwork, module_name
from tinytailor.nas.network.graphs import compiled_keys, placeholder_graph
from tinytailor.nas.spaces import (
    Architecture,
    ImageSpace,
    Space,
    architecture,
    build_space,
    parse_space,
)
from tinytailor.nas.spaces.cheapest import cheapest
from tinytailor.nas.supernet.supernet import Supernet
from tinytailor.nas.training.train import cross_entropy
from tinytailor.targets.core import Isa
from tinytailor.targets.errors import InputError

SHAPES = [(32, 32, 3, 10), (4, 4, 1, 2), (28, 28, 1, 10), (24, 50, 2, 5), (96, 96, 3, 2)]
ISAS = tuple(str(isa) for isa in Isa)


def largest(space: Space) -> Architecture:
    return architecture(space, {d.name: d.options[-1] for d in space.decisions})


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_sampled_network_is_well_formed_and_needs_listed_operators_only(
    shape: tuple[int, ...],
) -> None:
    space = build_space("image", *shape)
    rng = np.random.default_rng(0)
    keys = set(space.keys("dsp"))
    for network in (space.smallest(), largest(space), *(space.sample(rng) for _ in range(5))):
        topology = space.topology(network)
        graph = check(placeholder_graph(topology))
        assert graph.tensors["input"].shape == (1, *shape[:3])
        assert graph.tensors["output"].shape == (1, shape[3])
        assert {*topology.keys("dsp"), *compiled_keys(topology, "dsp")} <= keys


@pytest.mark.parametrize("isa", ISAS)
def test_the_keys_are_those_of_all_networks_and_no_others(isa: str) -> None:
    space = tiny_image_space()
    used: set[OpKey] = set()
    for network in everything(space):
        topology = space.topology(network)
        used.update(topology.keys(isa), compiled_keys(topology, isa))
    assert set(space.keys(isa)) == used


def test_cifar_images_need_186_operators_for_100_k_to_11_m_products_in_3_to_60_kib() -> None:
    space = parse_space("image:32x32x3x10")
    assert len(space.keys("dsp")) == 186
    topologies = [space.topology(network) for network in (space.smallest(), largest(space))]
    products = [sum(op.macs(*sizes) for _, op, sizes in t.operators()) for t in topologies]
    assert products == [101_760, 11_248_384]
    assert [max(alive_bytes(t)) for t in topologies] == [2_560, 61_440]


def test_an_architecture_of_images_survives_json_and_is_refused_elsewhere() -> None:
    space = parse_space("image:32x32x3x10")
    network = space.sample(np.random.default_rng(3))
    assert Architecture.from_json(json.loads(json.dumps(network.to_json()))) == network
    with pytest.raises(InputError, match=r"inputs of 32x32x3 and 10 classes.*image:28x28x1x10"):
        parse_space("image:28x28x1x10").topology(network)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image:32x32x3", "is not HEIGHTxWIDTHxCHANNELSxCLASSES, such as 32x32x3x10"),
        ("image:32x32x3x10x2", "is not HEIGHTxWIDTHxCHANNELSxCLASSES"),
        ("image:32x-2x3x10", "is not HEIGHTxWIDTHxCHANNELSxCLASSES"),
        ("image", "is not HEIGHTxWIDTHxCHANNELSxCLASSES"),
        ("image:3x32x3x10", "at least 4 x 4 pixels"),
        ("image:32x32x3x1", "2 classes"),
        ("vision:32x32x3x10", "no search space is called 'vision'; known: timeseries, image"),
    ],
)
def test_a_wrong_shape_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        parse_space(text)


def test_a_space_refuses_data_of_another_rank_and_names_the_one_for_it() -> None:
    with pytest.raises(InputError, match=r"samples of 100x6; a space for them is: timeseries"):
        build_space("image", 100, 6, 4)
    with pytest.raises(InputError, match=r"samples of 32x32x3; a space for them is: image"):
        build_space("timeseries", 32, 32, 3, 10)


def test_unknown_decisions_and_options_are_named() -> None:
    space = tiny_image_space()
    choice = dict(space.smallest().choices)
    with pytest.raises(InputError, match=r"stem.channels is 12, expected one of \[8, 16\]"):
        architecture(space, {**choice, "stem.channels": 12})
    with pytest.raises(InputError, match="space image has no decision depth"):
        architecture(space, {**choice, "depth": 1})


def test_the_cheapest_networks_are_those_of_an_exhaustive_search() -> None:
    space = tiny_image_space()
    parts = Parts(FakeCosts(), latency_node=0.01, flash_node=40)
    costs = [amounts(parts.part(space.topology(network))) for network in everything(space)]
    for k, network in enumerate(cheapest(space, parts)):
        least = min(cost[k] for cost in costs)
        assert amounts(parts.part(space.topology(network)))[k] == pytest.approx(least)


def inherit(network: FloatNetwork, supernet: Supernet) -> None:
    """Copy the first channels of the supernet's weights into a discrete network."""
    expanding = {layer.name.split(".expand")[0] for layer in network.topology.convs}
    for layer in network.topology.convs:
        block, _, part = layer.name.rpartition(".")
        path = "" if block in expanding else "0"
        slot = {
            "depthwise": f"{block}.depthwise{path}.k{layer.kernel[0]}",
            "project": f"{block}.project{path}",
        }.get(part, layer.name)
        theirs = supernet.blocks[module_name(slot)].state_dict()
        for key, value in network.block(layer.name).state_dict().items():
            value.copy_(theirs[key][tuple(slice(n) for n in value.shape)])


@pytest.mark.parametrize("seed", range(6))
def test_a_certain_supernet_computes_the_exported_network(seed: int) -> None:
    space = ImageSpace(16, 20, 2, 3, repeats=1)
    supernet = random_supernet(space)
    arch = space.sample(np.random.default_rng(seed))
    network = FloatNetwork(space.topology(arch), seeded(1)).eval()
    inherit(network, supernet)
    x = torch.randn((3, 2, 16, 20), generator=seeded(2))
    with torch.no_grad():
        found, wanted = network(x), supernet(x, supernet.one_hot(arch))
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
        assert found.std() > 1e-3


@pytest.mark.parametrize("isa", ISAS)
def test_the_supernet_asks_for_prices_that_the_space_lists(isa: str) -> None:
    space = tiny_image_space()
    wanted = {
        key
        for slot in space.supernet(seeded(0)).slots.values()
        for i in slot.inputs
        for o in slot.outputs
        for key in slot.topology(i, o).keys(isa)
    }
    assert wanted <= set(space.keys(isa))


@pytest.mark.parametrize("kind", ["cross_entropy", "latency_ms", "ram_bytes", "flash_bytes"])
def test_decisions_receive_gradients_from_every_term(kind: str) -> None:
    space = ImageSpace(16, 16, 2, 3, repeats=1)
    supernet = space.supernet(seeded(0))
    supernet.train()
    if kind == "cross_entropy":
        x = torch.randn((6, 2, 16, 16), generator=seeded(1))
        y = torch.arange(6) % 3
        term = cross_entropy(supernet(x, supernet.draw(1.0, seeded(2))), y)
    else:
        term = getattr(expected(supernet, Parts(FakeCosts())), kind)
    term.backward()
    for name, alpha in supernet.alphas.items():
        assert alpha.grad is not None, name
        assert torch.isfinite(alpha.grad).all(), name
        # A kernel's size changes no tensor, and a small map hides behind large ones.
        if kind != "ram_bytes" or name in ("stem_channels", "stage1_reduce_hidden"):
            assert alpha.grad.abs().max() > 0, name
