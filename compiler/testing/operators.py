# SPDX-License-Identifier: Apache-2.0
"""The conformance kit of operators: each is tried on the examples that stand in its file.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    @pytest.mark.parametrize("example", examples_of(MyOperator), ids=str)
    def test_my_operator(check, example):
        check(example)

    def test_my_operator_on_a_board(tmp_path):
        emitted_kernels_equal_the_meaning(examples_of(MyOperator), load_target(BOARD), tmp_path)

``CHECKS`` compare what an operator says about itself with its meaning in numpy (those of traits.py
among them), and the TIR of its plain kernel, built with LLVM; the last function runs what is
emitted on a core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from tinytailor.compiler.execute import execute
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.kernels.registry import choose, fitting, lower
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.mcu.kernel_image import KernelInfo, kernel_image
from tinytailor.compiler.opkey import make_key
from tinytailor.compiler.testing import traits
from tinytailor.compiler.testing.examples import Example, random_inputs
from tinytailor.targets import (
    Board,
    Buffer,
    Call,
    Toolchain,
    cross_toolchain,
    default_runner,
    linked_for,
    run_on,
)

SAMPLES = 3


def meaning(graph: Graph, batches: Sequence[np.ndarray]) -> np.ndarray:
    (result,) = execute(graph, *batches)
    return result


def its_output_has_the_shape_and_type_that_it_says(example: Example) -> None:
    graph = example.graph("base")
    result = meaning(graph, random_inputs(graph, SAMPLES, seed=1))
    declared = graph.tensors[graph.outputs[0]]
    assert result.shape == (SAMPLES, *declared.shape[1:])
    assert result.dtype == declared.dtype


def its_key_stands_for_it(example: Example) -> None:
    """What is made from a key has that key; and the numbers of a layer are not in it."""
    key = make_key(example.op, example.shapes, "base")
    assert make_key(key.operator(), example.shapes, "base") == key


def its_sums_fit_32_bits(example: Example) -> None:
    (node,) = example.graph("base").nodes
    sums = node.op.accumulators(example.shapes, node.constants)
    if sums is not None:
        assert sums.low.min() >= -(2**31)
        assert sums.high.max() < 2**31


def its_table_is_its_meaning(example: Example) -> None:
    """Of one that says that it is a function of single elements."""
    (node,) = example.graph("base").nodes
    table = node.op.table(node.constants)
    if table is not None:
        every = np.arange(-128, 128).astype(np.int8).reshape(1, -1)
        assert np.array_equal(node.op.reference((every,), node.constants)[0], table)


def its_plain_kernel_built_with_llvm_equals_its_meaning(example: Example) -> None:
    import tvm

    from tinytailor.compiler.kernels.bricks import tir

    graph = example.graph("base")
    (node,) = graph.nodes
    choice = choose(node.op, example.shapes, "base")
    kernel = lower(node.op, example.shapes, node.constants, "base", choice)
    function = tvm.compile(tvm.IRModule({"main": tir.resolved(kernel.func)}), target="llvm")["main"]
    batches = random_inputs(graph, SAMPLES, seed=7)
    expected = meaning(graph, batches)
    sizes = [tuple(int(d) for d in parameter.ty.shape) for parameter in kernel.func.params]
    for s in range(SAMPLES):
        roles = {f"x{i}": batch[s] for i, batch in enumerate(batches)} | dict(kernel.constants)
        arrays = [
            np.ascontiguousarray(roles[argument].reshape(shape))
            for argument, shape in zip(kernel.arguments[:-1], sizes, strict=False)
        ]
        tensors = [tvm.runtime.tensor(a) for a in (*arrays, np.zeros(sizes[-1], expected.dtype))]
        function(*tensors)
        np.testing.assert_array_equal(tensors[-1].numpy().ravel(), expected[s].ravel())


CHECKS: tuple[Callable[[Example], None], ...] = (
    *traits.CHECKS,
    its_output_has_the_shape_and_type_that_it_says,
    its_key_stands_for_it,
    its_sums_fit_32_bits,
    its_table_is_its_meaning,
    its_plain_kernel_built_with_llvm_equals_its_meaning,
)


def tried_on(examples: Iterable[Example], isa: str) -> list[tuple[Example, Variant]]:
    """Each example with its preferred kernel, and those that no lesser instruction set has."""
    tried = []
    for example in examples:
        preferred, *others = fitting(example.op, example.shapes, isa)
        tried += [(example, v) for v in (preferred, *(v for v in others if v.isas[0] == isa))]
    return tried


def emitted_kernels_equal_the_meaning(
    examples: Iterable[Example], board: Board, folder: Path, toolchain: Toolchain | None = None
) -> None:
    """Build all kernels of ``examples`` for ``board`` into one image and run them where it runs."""
    runner, isa = default_runner(board), board.core.isa
    tried = tried_on(examples, isa)
    graphs = [(f"k{i}", example.graph(isa)) for i, (example, _) in enumerate(tried)]
    choices = [variant.untuned for _, variant in tried]
    linked = linked_for(runner, board)
    toolchain = toolchain or cross_toolchain()
    image = kernel_image(graphs, linked, toolchain, folder, choices=choices)
    inputs = [random_inputs(graph, SAMPLES, seed=i) for i, (_, graph) in enumerate(graphs)]
    calls = [
        Call(kernel.symbol, _buffers([batch[s] for batch in batches], kernel))
        for kernel, batches in zip(image.kernels, inputs, strict=True)
        for s in range(SAMPLES)
    ]
    # counting on QEMU checks the alignment of accesses, too
    results = iter(run_on(runner, image.elf, board, calls, count=runner == "qemu"))
    for (example, variant), (_, graph), batches in zip(tried, graphs, inputs, strict=True):
        expected = meaning(graph, batches)
        for s in range(SAMPLES):
            actual = np.frombuffer(next(results).outputs[0], expected.dtype)
            name = f"{example.name} by {variant.name}"
            np.testing.assert_array_equal(actual, expected[s].ravel(), err_msg=name)


def _buffers(arrays: Sequence[np.ndarray], kernel: KernelInfo) -> tuple[Buffer, ...]:
    buffers = [Buffer(a.nbytes, a.tobytes(), constant=True) for a in arrays]
    buffers.append(Buffer(kernel.output_bytes, read_back=True))
    return (*buffers, Buffer(kernel.scratch_bytes)) if kernel.scratch_bytes else tuple(buffers)
