# SPDX-License-Identifier: Apache-2.0
"""The two shipped spaces: inputs of any size, the layers and sizes that they promise, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from tiers import nightly_but

from tinytailor.cli import completion
from tinytailor.compiler.ir import check
from tinytailor.compiler.quantize import SCHEMES
from tinytailor.nas.cost import alive_bytes, fit_parts
from tinytailor.nas.data import SOURCES
from tinytailor.nas.network.graphs import compiled_keys, placeholder_graph
from tinytailor.nas.search import ALGORITHMS
from tinytailor.nas.settings import SUPERNET
from tinytailor.nas.spaces import SPACES, Architecture, architecture, build_space, parse_space
from tinytailor.nas.testing.costs import FormulaCosts
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.torch]

SHAPES = [
    ("micronas", (2, 1, 2)),
    ("micronas", (17, 12, 3)),
    ("image", (4, 4, 1, 2)),
    ("image", (24, 50, 2, 5)),
]
MORE = [
    ("micronas", (100, 6, 4)),
    ("micronas", (25, 12, 9)),
    ("micronas", (150, 1, 2)),
    ("micronas", (64, 30, 10)),
    ("image", (32, 32, 3, 10)),
    ("image", (28, 28, 1, 10)),
    ("image", (96, 96, 3, 2)),
]
MOST_OPERATORS = 400  # that anybody should have to measure


@pytest.mark.parametrize("which", nightly_but(SHAPES, SHAPES + MORE), ids=str)
def test_inputs_of_any_size_give_well_formed_graphs_of_listed_operators(
    which: tuple[str, tuple[int, ...]],
) -> None:
    name, shape = which
    space = build_space(name, *shape)
    rng = np.random.default_rng(0)
    keys = set(space.keys("dsp"))
    assert len(keys) <= MOST_OPERATORS
    for arch in (space.smallest(), space.largest(), *(space.sample(rng) for _ in range(10))):
        topology = space.topology(arch)
        graph = check(placeholder_graph(topology))
        assert graph.tensors["output"].shape == (1, shape[-1])
        assert {*topology.keys("dsp"), *compiled_keys(topology, "dsp")} <= keys


def test_cifar_images_take_100_k_to_11_m_products_or_more_in_3_to_60_kib() -> None:
    space = parse_space("image:32x32x3x10")
    topologies = [space.topology(arch) for arch in (space.smallest(), space.largest())]
    products = [sum(s.operator.macs(*s.shapes) for s in t.steps) for t in topologies]
    assert 100_000 < products[0] < 103_000
    assert 11_200_000 < products[1] < 12_000_000
    memory = [max(alive_bytes(t)) for t in topologies]
    assert memory[0] == 2_560
    assert 61_440 <= memory[1] < 64_000


def test_wrong_choices_are_refused() -> None:
    space = build_space("micronas", 100, 6, 4)
    choice = dict(space.smallest().choices)
    with pytest.raises(InputError, match=r"time0.channels is 5, expected one of \[4, 8, 12, 16\]"):
        architecture(space, {**choice, "time0.channels": 5})
    with pytest.raises(InputError, match="space micronas has no decision depth"):
        architecture(space, {**choice, "depth": 1})
    with pytest.raises(InputError, match="not an architecture"):
        Architecture.from_json({"space": "micronas"})


def test_an_architecture_is_refused_by_a_space_of_another_shape() -> None:
    arch = parse_space("image:32x32x3x10").sample(np.random.default_rng(3))
    with pytest.raises(InputError, match=r"inputs of 32x32x3 and 10 classes.*image:28x28x1x10"):
        parse_space("image:28x28x1x10").topology(arch)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image:32x32x3", "is not HEIGHTxWIDTHxCHANNELSxCLASSES, such as 32x32x3x10"),
        ("image:32x32x3x10x2", "is not HEIGHTxWIDTHxCHANNELSxCLASSES"),
        ("image:32x-2x3x10", "is not HEIGHTxWIDTHxCHANNELSxCLASSES"),
        ("image", "is not HEIGHTxWIDTHxCHANNELSxCLASSES"),
        ("image:3x32x3x10", "at least 4 x 4 pixels"),
        ("image:32x32x3x1", "2 classes"),
        ("micronas:1x6x4", "at least 2 samples"),
        ("vision:32x32x3x10", "no search space is called 'vision'; known: series, micronas, image"),
        ("timeseries:100x6x4", "the search space timeseries is called micronas now; name it so"),
    ],
)
def test_a_wrong_shape_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        parse_space(text)


def test_a_space_refuses_data_of_another_rank_and_names_the_one_for_it() -> None:
    with pytest.raises(
        InputError, match=r"samples of 100x6; a space for them is: series, micronas"
    ):
        build_space("image", 100, 6, 4)
    with pytest.raises(InputError, match=r"samples of 32x32x3; a space for them is: image"):
        build_space("micronas", 32, 32, 3, 10)


def test_the_fixed_shares_of_a_cost_are_recovered_from_whole_networks() -> None:
    parts = fit_parts(build_space("micronas", 100, 6, 4), FormulaCosts(), seed=0)
    assert parts.latency_base == pytest.approx(0.01)
    assert parts.latency_node == pytest.approx(0.001)
    assert parts.ram_base == pytest.approx(900)
    assert parts.flash_base == pytest.approx(3000)
    assert parts.flash_node == pytest.approx(40)


def test_alive_bytes_count_what_waits_for_a_later_layer() -> None:
    space = build_space("micronas", 20, 3, 2)
    choice = dict(space.smallest().choices)
    choice.update({"fusion0.residual": 1, "fusion0.branches": (3, 5)})
    topology = space.topology(architecture(space, choice))
    size = {name: int(np.prod(shape)) for name, shape in topology.shapes.items()}
    names = [step.name for step in topology.steps]
    alive = dict(zip(names, alive_bytes(topology), strict=True))
    waiting = size["fusion0.residual"] + size["fusion0.branch3"]
    assert alive["time0"] == size["time0"]  # the network's input is the caller's
    assert (
        alive["fusion0.branch5"] == size["fusion0.bottleneck"] + waiting + size["fusion0.branch5"]
    )


def test_a_shell_completes_what_the_registries_hold() -> None:
    """They are read from their source there, and imported here."""
    assert completion.spaces("") == list(SPACES)
    assert completion.algorithms("") == [SUPERNET, *ALGORITHMS]
    assert completion.schemes("") == list(SCHEMES)
    assert [name.rstrip(":") for name in completion.data_sets("")] == list(SOURCES)
