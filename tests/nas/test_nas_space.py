# SPDX-License-Identifier: Apache-2.0
"""The time-series space: exact keys, exact minima, any length and number of sensors."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fake_costs import FakeCosts
from tiny_spaces import everything, tiny_space

from tinytailor.compiler.ir import check
from tinytailor.compiler.memory.aliasing import computing
from tinytailor.compiler.opkey import OpKey, key_of
from tinytailor.compiler.passes import optimize
from tinytailor.nas.cost import Parts, alive_bytes, amounts, fit_parts
from tinytailor.nas.network.graphs import compiled_keys, placeholder_graph
from tinytailor.nas.spaces import (
    Architecture,
    architecture,
    build_space,
    neighbours,
    parse_space,
)
from tinytailor.nas.spaces.cheapest import cheapest
from tinytailor.targets.errors import InputError

SHAPES = [(100, 6, 4), (25, 12, 9), (150, 1, 2), (128, 9, 6), (64, 30, 10), (2, 1, 2), (17, 5, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_length_and_any_number_of_sensors_gives_well_formed_graphs(
    shape: tuple[int, int, int],
) -> None:
    space = build_space("timeseries", *shape)
    rng = np.random.default_rng(0)
    keys = set(space.keys("dsp"))
    assert len(keys) <= 400
    for network in (space.smallest(), *(space.sample(rng) for _ in range(20))):
        topology = space.topology(network)
        graph = check(placeholder_graph(topology))
        assert graph.tensors["output"].shape == (1, shape[2])
        assert {*topology.keys("dsp"), *compiled_keys(topology, "dsp")} <= keys


def test_the_keys_are_those_of_all_networks_and_no_others() -> None:
    space = tiny_space()
    used: set[OpKey] = set()
    for network in everything(space):
        topology = space.topology(network)
        used.update(topology.keys("dsp"), compiled_keys(topology, "dsp"))
    assert set(space.keys("dsp")) == used


@pytest.mark.parametrize(
    ("text", "networks"), [("timeseries:100x6x4", 20), ("image:32x32x3x10", 5)]
)
def test_compiled_keys_are_those_of_the_graph_that_is_priced(text: str, networks: int) -> None:
    space = parse_space(text)
    rng = np.random.default_rng(1)
    for network in (space.sample(rng) for _ in range(networks)):
        topology = space.topology(network)
        graph, _ = optimize(placeholder_graph(topology), weights=False)
        priced = [key_of(node, graph, "dsp") for node in computing(graph)]
        assert priced == list(compiled_keys(topology, "dsp"))


def test_basic_motions_needs_at_most_250_measurements() -> None:
    assert len(build_space("timeseries", 100, 6, 4).keys("dsp")) == 229


def test_an_architecture_survives_json() -> None:
    space = build_space("timeseries", 100, 6, 4)
    network = space.sample(np.random.default_rng(3))
    assert Architecture.from_json(json.loads(json.dumps(network.to_json()))) == network
    with pytest.raises(InputError, match="not an architecture"):
        Architecture.from_json({"space": "timeseries"})


def test_wrong_choices_are_refused() -> None:
    space = build_space("timeseries", 100, 6, 4)
    choice = dict(space.smallest().choices)
    with pytest.raises(InputError, match=r"time0.channels is 5, expected one of \[4, 8, 12, 16\]"):
        architecture(space, {**choice, "time0.channels": 5})
    with pytest.raises(InputError, match="no decision depth"):
        architecture(space, {**choice, "depth": 1})
    with pytest.raises(InputError, match="no search space is called"):
        build_space("vision", 100, 6, 4)
    with pytest.raises(InputError, match="at least 2 samples"):
        build_space("timeseries", 1, 6, 4)


def test_neighbours_differ_in_exactly_one_decision() -> None:
    space = build_space("timeseries", 100, 6, 4)
    network = space.smallest()
    near = neighbours(space, network)
    assert len(near) == sum(len(d.options) - 1 for d in space.decisions)
    for other in near:
        assert sum(a != b for a, b in zip(other.choices, network.choices, strict=True)) == 1


def test_the_cheapest_networks_are_those_of_an_exhaustive_search() -> None:
    space = tiny_space()
    parts = Parts(FakeCosts(), latency_node=0.01, flash_node=40)
    costs = [amounts(parts.part(space.topology(network))) for network in everything(space)]
    for k, network in enumerate(cheapest(space, parts)):
        least = min(cost[k] for cost in costs)
        assert amounts(parts.part(space.topology(network)))[k] == pytest.approx(least)


def test_the_fixed_shares_of_a_cost_are_recovered_from_whole_networks() -> None:
    parts = fit_parts(build_space("timeseries", 100, 6, 4), FakeCosts(), seed=0)
    assert parts.latency_base == pytest.approx(0.01)
    assert parts.latency_node == pytest.approx(0.001)
    assert parts.ram_base == pytest.approx(900)
    assert parts.flash_base == pytest.approx(3000)
    assert parts.flash_node == pytest.approx(40)


def test_alive_bytes_count_what_waits_for_a_later_layer() -> None:
    space = tiny_space()
    choice = dict(space.smallest().choices)
    choice.update({"fusion0.residual": 1, "fusion0.branches": (3, 5)})
    topology = space.topology(architecture(space, choice))
    size = {name: int(np.prod(shape)) for name, shape in topology.shapes().items()}
    names = [layer.name for layer in topology.layers]
    alive = dict(zip(names, alive_bytes(topology), strict=True))
    waiting = size["fusion0.residual"] + size["fusion0.branch3"]
    assert alive["time0"] == size["time0"]  # the network's input is the caller's
    assert (
        alive["fusion0.branch5"] == size["fusion0.bottleneck"] + waiting + size["fusion0.branch5"]
    )
