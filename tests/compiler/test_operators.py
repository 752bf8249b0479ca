# SPDX-License-Identifier: Apache-2.0
"""Every operator computes the same integers everywhere: numpy, TIR through LLVM, C on each core."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tvm

from examples import EXAMPLES, random_inputs
from tinytailor.compiler.execute import execute
from tinytailor.compiler.ir import Graph, Node, check
from tinytailor.compiler.kernels.bricks import tir
from tinytailor.compiler.kernels.registry import choose, fitting, has_kernel, lower, variants_of
from tinytailor.compiler.mcu import kernel_image
from tinytailor.compiler.ops import tabled
from tinytailor.targets import (
    Buffer,
    Call,
    Isa,
    cross_toolchain,
    default_runner,
    linked_for,
    load_target,
    run_on,
)
from tinytailor.targets.errors import InputError

# Cortex-M0+, M3, M4, M7, M33, and M55, which only QEMU has
BOARDS = (
    "nucleo-g0b1re",
    "nucleo-f207zg",
    "nucleo-f446re",
    "nucleo-h743zi",
    "nucleo-l552ze-q",
    "mps3-an547",
)
SAMPLES = 3


def test_every_operator_with_a_kernel_has_examples():
    tried = {example.op.kind for example in EXAMPLES}
    assert tried == {kind for kind in tabled() if has_kernel(kind)}


@pytest.mark.parametrize("board_name", BOARDS)
def test_emitted_kernels_equal_the_numpy_meaning_on_the_emulated_core(board_name, tmp_path):
    board = load_target(board_name)
    runner = default_runner(board)
    if runner == "qemu" and shutil.which("qemu-system-arm") is None:
        pytest.skip(f"qemu-system-arm is not on PATH, nothing else has a {board.core.name}")
    isa = board.core.isa
    tried = [(example, variant) for example in EXAMPLES for variant in new_with(example, isa)]
    graphs = [(f"k{i}", example.graph(isa)) for i, (example, _) in enumerate(tried)]
    choices = [variant.untuned for _, variant in tried]
    linked = linked_for(runner, board)
    image = kernel_image(graphs, linked, cross_toolchain(), tmp_path, choices=choices)
    inputs = [random_inputs(g, SAMPLES, seed=i) for i, (_, g) in enumerate(graphs)]
    calls = [
        Call(k.symbol, _buffers([batch[s] for batch in batches], k))
        for k, batches in zip(image.kernels, inputs, strict=True)
        for s in range(SAMPLES)
    ]
    # counting on QEMU checks the alignment of accesses, too
    results = iter(run_on(runner, image.elf, board, calls, count=runner == "qemu"))
    for (example, variant), (_, graph), batches in zip(tried, graphs, inputs, strict=True):
        (expected,) = execute(graph, *batches)
        for s in range(SAMPLES):
            actual = np.frombuffer(next(results).outputs[0], expected.dtype)
            name = f"{example.name} by {variant.name}"
            np.testing.assert_array_equal(actual, expected[s].ravel(), err_msg=name)


def new_with(example, isa):
    """The preferred kernel, and those that no lesser instruction set has."""
    preferred, *others = fitting(example.op, example.shapes, isa)
    return (preferred, *(v for v in others if v.isas[0] == isa))


def test_every_variant_is_tried_on_some_core():
    tried = {
        (example.op.kind, variant.name)
        for example in EXAMPLES
        for isa in Isa
        for variant in new_with(example, isa)
    }
    assert tried == {(k, v.name) for k in tabled() if has_kernel(k) for v in variants_of(k)}


def _buffers(arrays, kernel):
    buffers = [Buffer(a.nbytes, a.tobytes(), constant=True) for a in arrays]
    buffers.append(Buffer(kernel.output_bytes, read_back=True))
    return (*buffers, Buffer(kernel.scratch_bytes)) if kernel.scratch_bytes else tuple(buffers)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_the_tir_of_the_plain_schedule_built_with_llvm_equals_the_numpy_meaning(example):
    graph = example.graph("base")
    node = graph.nodes[0]
    choice = choose(node.op, example.shapes, "base")
    kernel = lower(node.op, example.shapes, node.constants, "base", choice)
    function = tvm.compile(tvm.IRModule({"main": tir.resolved(kernel.func)}), target="llvm")["main"]
    batches = random_inputs(graph, SAMPLES, seed=7)
    (expected,) = execute(graph, *batches)
    for s in range(SAMPLES):
        roles = {f"x{i}": batch[s] for i, batch in enumerate(batches)} | dict(kernel.constants)
        arrays = []
        for argument, parameter in zip(kernel.arguments[:-1], kernel.func.params, strict=False):
            shape = tuple(int(d) for d in parameter.ty.shape)
            arrays.append(tvm.runtime.tensor(np.ascontiguousarray(roles[argument].reshape(shape))))
        out = tuple(int(d) for d in kernel.func.params[-1].ty.shape)
        arrays.append(tvm.runtime.tensor(np.zeros(out, expected.dtype)))
        function(*arrays)
        np.testing.assert_array_equal(arrays[-1].numpy().ravel(), expected[s].ravel())


def test_a_graph_is_rejected_when_its_constants_do_not_fit():
    graph = EXAMPLES[0].graph("dsp")
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
