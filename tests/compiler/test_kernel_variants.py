# SPDX-License-Identifier: Apache-2.0
"""Kernels are found by the kind of their operator, chosen as a value and made from it."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tinytailor.compiler import kernels
from tinytailor.compiler.kernels import add as kernels_of_add
from tinytailor.compiler.kernels.lowering import lower_node
from tinytailor.compiler.kernels.registry import choose, fitting, has_kernel, lower, variants_of
from tinytailor.compiler.kernels.variant import DSP, Choice, Variant
from tinytailor.compiler.ops import OPERATORS, Add, Conv2d, Dense, DepthwiseConv2d
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.testing.examples import every_example
from tinytailor.targets import Isa
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

EXAMPLES = every_example()

FOLDER = Path(kernels.__file__).parent
KINDS = tuple(OPERATORS)
CONV, ONE_BIT = Conv2d(8, Window((3, 3))), Conv2d(8, Window((3, 3)), weight_bits=1)
DEPTHWISE, DILATED = (
    DepthwiseConv2d(Window((3, 3))),
    DepthwiseConv2d(Window((3, 3), dilation=(2, 2))),
)
PLAIN = ("plain",) * 3
PREFERRED = {  # on base, DSP and MVE
    "conv": (CONV, 16, ("plain", "dsp_tile", "mve_dot")),
    "conv of one product": (Conv2d(8, Window((1, 1))), 1, PLAIN),
    "conv of narrow weights": (ONE_BIT, 16, PLAIN),
    "dense": (Dense(8), None, ("plain", "dsp_tile", "mve_dot")),
    "depthwise": (DEPTHWISE, 16, ("plain", "dsp_window", "mve_window")),
    "depthwise in fours": (DEPTHWISE, 4, ("plain", "dsp_window", "dsp_window")),
    "depthwise in threes": (DEPTHWISE, 3, PLAIN),
    "depthwise in time": (DepthwiseConv2d(Window((3, 1))), 16, PLAIN),
    "depthwise with gaps": (DILATED, 16, PLAIN),
}


def shapes_of(channels):
    return ((1, 64),) if channels is None else ((1, 7, 7, channels),)


def test_every_operator_has_kernels():
    assert [kind for kind in KINDS if not has_kernel(kind)] == []


@pytest.mark.parametrize("name", ["bricks", "isa", "registry", "no_such", "conv2d.plain", ""])
def test_what_is_no_folder_of_an_operator_is_no_kernel(name):
    assert not has_kernel(name)


def test_a_folder_that_lost_its_sources_is_no_kernel(tmp_path, monkeypatch):
    (tmp_path / "left_over" / "__pycache__").mkdir(parents=True)
    monkeypatch.setattr(kernels, "__path__", [*kernels.__path__, str(tmp_path)])
    assert importlib.util.find_spec("tinytailor.compiler.kernels.left_over") is not None
    assert not has_kernel("left_over")


@pytest.mark.parametrize("kind", KINDS)
def test_every_variant_in_a_folder_is_listed_under_the_name_of_its_file(kind):
    """A file that is not listed would never be taken, and nobody would notice."""
    listed = [variant.name for variant in variants_of(kind)]
    files = {p.stem for p in (FOLDER / kind).glob("*.py") if "\nVARIANT = " in p.read_text()}
    assert len(listed) == len({*listed})
    # a dense layer is a convolution, and so has no variant of its own
    assert files == ({*listed} if kind != "dense" else set())


@pytest.mark.parametrize("kind", KINDS)
def test_names_say_the_instruction_set_that_a_variant_needs(kind):
    for variant in variants_of(kind):
        least = variant.isas[0]
        assert variant.name == "plain" if least == Isa.BASE else variant.name.startswith(least)


@pytest.mark.parametrize("name", PREFERRED)
def test_the_preferred_kernel_is_the_fastest_that_fits(name):
    op, channels, expected = PREFERRED[name]
    assert tuple(choose(op, shapes_of(channels), isa).variant for isa in Isa) == expected


def test_a_variant_has_one_text_on_all_instruction_sets():
    tried = [e for e in EXAMPLES if e.name in ("conv_3x3_add", "depthwise_3x3", "dense", "deform")]
    for example in tried:
        graph = example.graph("base")
        for variant in fitting(example.op, example.shapes, "mve"):
            choice = variant.untuned
            first, *others = (
                lower_node(graph, graph.nodes[0], isa, "k", choice) for isa in variant.isas
            )
            assert first.choice == choice
            for other in others:
                assert (first.body, first.helpers) == (other.body, other.helpers)
                assert (first.overlap, first.scratch_bytes) == (other.overlap, other.scratch_bytes)


def test_an_operator_without_kernels_is_named():
    class Unheard(Add):
        kind = "unheard"

    with pytest.raises(InputError, match=r"unheard has no kernel .* compiler/kernels/unheard"):
        choose(Unheard(), ((1, 4),) * 2, "dsp")


def test_an_instruction_set_that_no_kernel_knows_is_refused():
    reason = r"conv2d on input shapes \(1, 7, 7, 16\) .* set rvv: mve_dot needs mve; "
    with pytest.raises(InputError, match=reason):
        choose(CONV, shapes_of(16), "rvv")


@pytest.mark.parametrize(
    ("op", "isa", "choice", "reason"),
    [
        (
            CONV,
            "dsp",
            Choice("dsp_tiles"),
            "no kernel 'dsp_tiles'; did you mean dsp_tile? it has: mve_dot, ",
        ),
        (CONV, "base", Choice("dsp_tile"), "cannot have the kernel dsp_tile, which needs dsp or "),
        (ONE_BIT, "dsp", Choice("dsp_tile"), "which takes weights of 8 bits, these have 1"),
        (CONV, "dsp", Choice("dsp_tile", (("unroll", 4),)), "knobs (('unroll', 4),), expected"),
    ],
)
def test_a_choice_that_does_not_fit_is_refused(op, isa, choice, reason):
    with pytest.raises(InputError, match=re.escape(reason)):
        lower(op, shapes_of(16), {}, isa, choice)


@pytest.fixture
def tuned(monkeypatch):
    """The kernel of Add with two knobs; it returns what it was called with."""
    knobs = {"unroll": (4, 8), "pixels": (2, 1)}
    variant = Variant("dsp_rows", lambda *given: given, DSP, knobs=knobs)
    monkeypatch.setattr(kernels_of_add, "VARIANTS", (variant, *kernels_of_add.VARIANTS))
    return variant


def test_an_untuned_choice_has_the_first_value_of_each_knob(tuned):
    choice = choose(Add(), ((1, 4),) * 2, "dsp")
    assert choice == Choice("dsp_rows", (("unroll", 4), ("pixels", 2)))
    assert hash(choice) == hash(replace(choice))


def test_the_values_of_a_choice_reach_the_kernel_in_order(tuned):
    choice, shapes = Choice("dsp_rows", (("unroll", 8), ("pixels", 1))), ((1, 4),) * 2
    assert lower(Add(), shapes, {}, "dsp", choice) == (Add(), shapes, {}, 8, 1)


@pytest.mark.parametrize(
    "knobs",
    [
        (),
        (("unroll", 8),),
        (("unroll", 3), ("pixels", 1)),
        (("pixels", 1), ("unroll", 8)),
        (("unroll", 8), ("pixels", 1), ("pixels", 1)),
    ],
)
def test_knobs_that_a_kernel_does_not_have_are_refused(tuned, knobs):
    with pytest.raises(InputError, match=r"add: kernel dsp_rows with knobs .* in this order"):
        lower(Add(), ((1, 4),) * 2, {}, "dsp", Choice("dsp_rows", knobs))
