# SPDX-License-Identifier: Apache-2.0
"""A price does not depend on what was priced before, nor on where it knows its operators from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from cold import cold_price, without_placement
from synthetic_table import write_placed

import tinytailor.nas.cost
from tinytailor.compiler.memory.predicted import example_kernel, footprint
from tinytailor.compiler.opkey import OpKey, key_of
from tinytailor.compiler.passes import optimize
from tinytailor.latency_tables import LatencyTable
from tinytailor.latency_tables.cost import network_cost
from tinytailor.latency_tables.table.footprints import node_footprint, placement_of
from tinytailor.nas.cost import Parts, TableCosts
from tinytailor.nas.network.graphs import compiled_keys, placeholder_graph
from tinytailor.nas.network.topology import Topology
from tinytailor.nas.spaces import parse_space
from tinytailor.targets import Board, load_target
from tinytailor.targets.errors import InputError

# one process, so that each space's operators are lowered once
pytestmark = [pytest.mark.tvm, pytest.mark.torch, pytest.mark.xdist_group("pricing")]

SPACES = ("micronas:64x9x3", "image:32x32x3x10")
NETWORKS = 12
COLD = 3  # of them


@dataclasses.dataclass(frozen=True)
class Priced:
    board: Board
    table: LatencyTable
    networks: tuple[Topology, ...]


@pytest.fixture(scope="module", params=SPACES)
def priced(request, tmp_path_factory) -> Priced:
    """Sampled networks of a space, and a table of their operators."""
    board, space = load_target("nucleo-f446re"), parse_space(request.param)
    assert isinstance(board, Board)
    rng = np.random.default_rng(4)
    networks = tuple(space.topology(space.sample(rng)) for _ in range(NETWORKS))
    keys: set[OpKey] = set()
    for network in networks:
        keys.update(network.keys("dsp"), compiled_keys(network, "dsp"))
    path = tmp_path_factory.mktemp("pricing") / "table.jsonl"
    write_placed(path, sorted(keys), board)
    return Priced(board, LatencyTable.load(path), networks)


def test_a_price_is_that_of_a_cold_start_in_every_field(priced):
    costs = TableCosts(priced.table, priced.board)
    found = [costs.whole(network) for network in priced.networks]
    for network, cost in list(zip(priced.networks, found, strict=True))[:COLD]:
        assert without_placement(cost) == cold_price(priced.table, priced.board, network)


def test_the_order_of_calls_changes_nothing(priced):
    forward, backward = (TableCosts(priced.table, priced.board) for _ in range(2))
    found = [forward.whole(network) for network in priced.networks]
    again = [backward.whole(network) for network in reversed(priced.networks)]
    assert found == again[::-1]
    assert [forward.whole(network) for network in priced.networks] == found


def test_no_operator_is_lowered_that_its_row_tells_about(priced):
    footprint.cache_clear()
    before = example_kernel.cache_info()
    costs = TableCosts(priced.table, priced.board)
    for network in priced.networks:
        costs.network(network)
    assert example_kernel.cache_info() == before


def test_a_row_of_another_code_generator_is_not_believed(priced):
    header = dataclasses.replace(priced.table.header, compiler="another")
    table = LatencyTable(priced.table.path, header)
    for row in priced.table.rows.values():
        wrong = dataclasses.replace(row.placement, gap_bytes=10_000, overlap={"0": 10_000})
        table.rows.add(dataclasses.replace(row, placement=wrong))
    network = priced.networks[0]
    cost = TableCosts(table, priced.board).network(network)
    assert cost == TableCosts(priced.table, priced.board).network(network)


def test_a_row_tells_of_a_node_what_lowering_does(priced):
    graph, _ = optimize(placeholder_graph(priced.networks[0]), weights=False)
    for node in graph.nodes:
        key = key_of(node, graph, "dsp")
        if key in priced.table:
            row = priced.table[key]
            assert row.placement == placement_of(key)
            assert node_footprint(graph, node, row, priced.table.header) == footprint(key)


def test_prices_that_are_remembered_have_an_end(priced, monkeypatch):
    monkeypatch.setattr(tinytailor.nas.cost, "REMEMBERED", 4)
    costs = TableCosts(priced.table, priced.board)
    parts = Parts(costs)
    first = [costs.network(network) for network in priced.networks]
    sums = [parts.estimate(network) for network in priced.networks]
    assert len(costs._networks) == len(parts._networks) == 4
    assert [costs.network(network) for network in priced.networks] == first
    assert [parts.estimate(network) for network in priced.networks] == sums


@pytest.mark.parametrize(
    "wrong", [lambda array: array.astype("int64"), lambda array: array[..., None]]
)
def test_constants_of_another_type_or_shape_are_refused_before_they_are_priced(priced, wrong):
    graph = placeholder_graph(priced.networks[0])
    node = next(node for node in graph.nodes if node.constants)
    constants = {role: wrong(array) for role, array in node.constants.items()}
    bad = dataclasses.replace(node, constants=constants)
    nodes = tuple(bad if one is node else one for one in graph.nodes)
    with pytest.raises(InputError, match=f"node {node.name} has constants"):
        network_cost(
            dataclasses.replace(graph, nodes=nodes), priced.table, priced.board, weights=False
        )


def test_placeholders_take_no_memory_and_cannot_be_written(priced):
    graph = placeholder_graph(priced.networks[0])
    for node in graph.nodes:
        for array in node.constants.values():
            assert not any(array.strides)
            assert not array.flags.writeable
