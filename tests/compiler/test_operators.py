# SPDX-License-Identifier: Apache-2.0
"""Every operator computes the same integers everywhere: numpy, TIR through LLVM, C on each core."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import numpy as np
import pytest

from tinytailor.compiler.ir import Graph, Node, check
from tinytailor.compiler.kernels.registry import has_kernel, variants_of
from tinytailor.compiler.ops import Lookup, tabled
from tinytailor.compiler.ops.traits.ranges import full
from tinytailor.compiler.testing import operators as kit
from tinytailor.compiler.testing import traits
from tinytailor.compiler.testing.examples import Example, every_example
from tinytailor.targets import Isa, default_runner, load_target
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.emulator, pytest.mark.qemu, pytest.mark.tvm]

# Cortex-M0+, M3, M4, M7, M33, and M55, which only QEMU has
BOARDS = (
    "nucleo-g0b1re",
    "nucleo-f207zg",
    "nucleo-f446re",
    "nucleo-h743zi",
    "nucleo-l552ze-q",
    "mps3-an547",
)
EXAMPLES = every_example()


def test_every_operator_with_a_kernel_has_examples():
    tried = {example.op.kind for example in EXAMPLES}
    assert tried == {kind for kind in tabled() if has_kernel(kind)}
    assert len({example.name for example in EXAMPLES}) == len(EXAMPLES)


@pytest.mark.parametrize("check", kit.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_operator_passes_the_kit(example, check):
    check(example)


@pytest.mark.parametrize("board_name", BOARDS)
def test_emitted_kernels_equal_the_numpy_meaning_on_the_emulated_core(board_name, tmp_path):
    board = load_target(board_name)
    if default_runner(board) == "qemu" and shutil.which("qemu-system-arm") is None:
        pytest.skip(f"qemu-system-arm is not on PATH, nothing else has a {board.core.name}")
    kit.emitted_kernels_equal_the_meaning(EXAMPLES, board, tmp_path)


def test_every_variant_is_tried_on_some_core():
    tried = {
        (example.op.kind, variant.name)
        for isa in Isa
        for example, variant in kit.tried_on(EXAMPLES, isa)
    }
    assert tried == {(k, v.name) for k in tabled() if has_kernel(k) for v in variants_of(k)}


@dataclass(frozen=True, slots=True)
class Wrong(Lookup):
    """Its output is negated, which its ranges and its table do not say."""

    def reference(self, inputs, constants):
        return (-np.maximum(Lookup.reference(self, inputs, constants), -127)).astype(np.int8)

    def ranges(self, reads, inputs, constants):
        return full(inputs[0][-1], -1, 0)


@pytest.mark.parametrize(
    "check",
    [
        traits.its_values_lie_in_the_range_of_their_channel,
        kit.its_table_is_its_meaning,
        kit.its_plain_kernel_built_with_llvm_equals_its_meaning,
    ],
)
def test_the_kit_sees_an_operator_that_is_wrong_about_itself(check, monkeypatch):
    monkeypatch.setitem(tabled.__globals__["OPERATORS"], "lookup", Wrong)
    with pytest.raises(AssertionError):
        check(Example("wrong", Wrong(), ((1, 5, 3, 7),)))


def test_a_graph_is_rejected_when_its_constants_do_not_fit():
    graph = next(e for e in EXAMPLES if e.op.kind == "conv2d").graph("dsp")
    node = graph.nodes[0]
    cut = {**node.constants, "bias": node.constants["bias"][:-1]}
    broken = Graph(
        graph.name,
        graph.inputs,
        graph.outputs,
        graph.tensors,
        (Node(node.name, node.op, node.inputs, node.output, cut),),
    )
    with pytest.raises(InputError, match=r"node conv2d has constants .*bias.*expected"):
        check(broken)
