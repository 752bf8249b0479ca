# SPDX-License-Identifier: Apache-2.0
"""Every search space passes the kit, the kit sees what is wrong, impossible cells are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from tinytailor.nas.layers.addition import Addition
from tinytailor.nas.layers.convolution import Convolution
from tinytailor.nas.layers.depthwise_convolution import DepthwiseConvolution
from tinytailor.nas.layers.mean_pool import MeanPool
from tinytailor.nas.spaces import SPACES, Decision, Space, SpaceKind
from tinytailor.nas.spaces.cells import Cell, Item, Join, Part, Pass, optional
from tinytailor.nas.supernet import placements
from tinytailor.nas.supernet.supernet import Supernet
from tinytailor.nas.testing import spaces
from tinytailor.nas.testing.networks import seeded
from tinytailor.nas.testing.spaces import CHECKS
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.torch]

CLASSES = 3


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", SPACES.values(), ids=SPACES)
def test_a_space_passes_the_kit(kind: SpaceKind, check: Callable[[SpaceKind], None]) -> None:
    check(kind)


def space_of(*cells: Cell) -> SpaceKind:
    """A space of ``cells`` over maps of 6 x 8 pixels in 2 channels, and a head."""
    linear = Convolution((1, 1), relu=False, norm=False)
    head = (Part("pool", MeanPool()), Part("classify", linear, ("pool",), CLASSES))
    space = Space("own", (6, 8, 2), CLASSES, "own", (*cells, Cell("head", (), head)))
    return SpaceKind(("HEIGHT",), (1,), lambda _: space, lambda: space)


WIDTH = Decision("a.width", (4, 6))
KIND = Decision("a.kind", (0, 1, 2))
MORE = Decision("a.more", (0, 1))
SIDES = Decision("a.sides", ((), (3,), (5,), (3, 5)))


def mixed_kinds() -> Cell:
    """One place for a convolution, a depthwise one or nothing, behind a convolution."""
    items = (
        Part("first", Convolution((1, 1)), width=WIDTH),
        Part("a", Convolution((3, 3)), ("first",), WIDTH, (KIND.among(0),), "y"),
        Part("a", DepthwiseConvolution((3, 3)), ("first",), when=(KIND.among(1),), writes="y"),
        Pass("y", "first", (KIND.among(2),)),
    )
    return Cell("a", (WIDTH, KIND), items)


def optional_branches() -> Cell:
    """x + some of two branches, which share a width with the entering map; all may be left out."""
    keep = Decision("b.keep", (0, 1))
    sides = Decision("b.sides", SIDES.options)
    own = Decision("b.width", (4, 6))
    items: list[Item] = [Part("b.in", Convolution((1, 1)), width=own)]
    for k in (3, 5):
        taken = sides.among(*(s for s in sides.options if k in s))
        items.append(Part(f"b.{k}", Convolution((k, 1)), ("b.in",), own, (taken,)))
    terms = (("b.in", ""), ("b.3", "b.add3"), ("b.5", "b.add5"))
    return Cell("b", (keep, own, sides), (*items, Join("b", Addition(), terms)), keep)


def narrowed() -> Cell:
    """A second layer that only the wider of two widths has."""
    second = Part("c", DepthwiseConvolution((3, 3)), ("first",), None, (WIDTH.among(6),), "y")
    items = (
        Part("first", Convolution((1, 1)), width=WIDTH),
        *optional(second, MORE),
        Pass("y", "first", (WIDTH.among(4),)),
    )
    return Cell("c", (WIDTH, MORE), items)


@pytest.mark.parametrize("check", CHECKS[6:], ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "cells",
    [
        pytest.param((mixed_kinds(), optional_branches()), id="kinds-and-branches"),
        pytest.param((narrowed(), optional_branches()), id="dependent-widths"),
    ],
)
def test_cells_that_no_shipped_space_has_pass_the_kit(
    cells: tuple[Cell, ...], check: Callable[[SpaceKind], None]
) -> None:
    check(space_of(*cells))


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        ((Part("a", Convolution((1, 1)), ("b",), 4),), "cell a: b is read where no item writes it"),
        ((Part("a", MeanPool()), Part("a", MeanPool())), "two items write a at once"),
        (
            (Part("a", MeanPool()), Part("a", MeanPool(), ("a",), writes="b")),
            "two of its layers are called a",
        ),
        ((Part("a", MeanPool()), Part("b", MeanPool())), "nothing reads a"),
        (
            (
                Part("a", Convolution((1, 1)), width=4, when=(MORE.among(1),), writes="y"),
                Part("a", Convolution((1, 1), (2, 2)), width=4, when=(MORE.among(0),), writes="y"),
            ),
            "must hand on maps of one size",
        ),
        (
            (
                Part("a", Convolution((1, 1)), width=WIDTH),
                Part("b", Convolution((1, 1)), width=5),
                Join("y", Addition(), (("a", ""), ("b", "add"))),
            ),
            "add reads tensors of several widths",
        ),
    ],
)
def test_cells_that_cannot_be_are_refused_in_one_sentence(
    items: tuple[Item, ...], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        Supernet(space_of(Cell("a", (WIDTH, MORE), items)).tiny(), seeded(0))


def test_a_cell_that_may_be_left_out_hands_on_what_it_reads() -> None:
    keep = Decision("a.keep", (0, 1))
    cell = Cell("a", (keep,), (Part("a", Convolution((1, 1)), width=5),), keep)
    with pytest.raises(
        InputError, match=r"left out what it reads; from \(6, 8\) in \[2\] channels"
    ):
        _ = space_of(cell).tiny().stages


def test_the_kit_sees_a_wrong_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected costs that take every layer of a choice for certain."""
    monkeypatch.setattr(placements, "_share", lambda *_: torch.ones(()))
    with pytest.raises(AssertionError):
        spaces.expected_latency_and_flash_are_the_mean_over_all_networks(SPACES["image"])


def test_the_kit_sees_a_supernet_that_does_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinytailor.nas.supernet import mixture

    monkeypatch.setattr(mixture, "mask", lambda weights, counts: torch.ones(()))
    with pytest.raises(AssertionError):
        spaces.a_certain_supernet_computes_the_exported_network(SPACES["image"])


def test_the_kit_sees_a_key_that_is_not_listed() -> None:
    kind = space_of(narrowed())

    class Short(Space):
        def keys(self, isa: str):  # type: ignore[no-untyped-def]
            return super().keys(isa)[1:]

    full = kind.tiny()
    short = Short(full.name, full.input_shape, full.classes, full.spec, full.cells)
    with pytest.raises(AssertionError):
        spaces.the_keys_are_those_of_all_networks_and_no_others(replace(kind, tiny=lambda: short))


def test_a_branch_that_surely_runs_beside_another_waits_for_it_and_no_other_does() -> None:
    """Of two parallel convolutions the second one runs while the first one's output is alive."""
    space = SPACES["micronas"].make(40, 6, 4)
    supernet = Supernet(space, seeded(0))
    choice = dict(space.smallest().choices)
    bytes_of = {}
    for kernels in ((5,), (5, 7), (3, 5)):
        choice["fusion0.branches"] = kernels
        arch = replace(space.smallest(), choices=tuple(choice.items()))
        placed = supernet.placements(supernet.one_hot(arch))
        (branch,) = (q for q in placed if q.slot.name == "fusion0.branch5")
        bytes_of[kernels] = float(branch.alive_bytes)
    assert bytes_of[5,] == bytes_of[5, 7] < bytes_of[3, 5]
