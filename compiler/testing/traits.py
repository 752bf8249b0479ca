# SPDX-License-Identifier: Apache-2.0
"""What an operator says about itself, held against its meaning: checks that take an example each.

Channels that go, bytes that stay, clamps and borders taken over, sums and values that are reached:
each is tried on the operator's own numpy meaning, with ranges, values and channels drawn at random.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinytailor.compiler.execute import random_integers
from tinytailor.compiler.ir import Graph, Node, Tensor, check
from tinytailor.compiler.opkey import key_of
from tinytailor.compiler.ops.traits.channels import Channels, Fewer, Mixed
from tinytailor.compiler.ops.traits.neighbours import View
from tinytailor.compiler.ops.traits.ranges import Range
from tinytailor.compiler.serialize import load_graph, save_graph
from tinytailor.compiler.testing.examples import Example
from tinytailor.targets.errors import InputError

SAMPLES = 5


def node_of(example: Example) -> Node:
    return example.graph("base").nodes[0]


def drawn(rng: np.random.Generator, example: Example) -> tuple[Range, ...]:
    """A range for each input, of one value only in some channels."""
    found = []
    for tensor in example.reads:
        limits, channels = np.iinfo(tensor.dtype), tensor.shape[-1]
        ends = rng.integers(limits.min, limits.max + 1, (2, channels))
        ends[1] = np.where(rng.random(channels) < 0.3, *ends)
        found.append(Range(ends.min(axis=0), ends.max(axis=0)))
    return tuple(found)


def batches(rng: np.random.Generator, example: Example) -> tuple[np.ndarray, ...]:
    return tuple(random_integers(rng, tensor, SAMPLES) for tensor in example.reads)


def within(rng: np.random.Generator, tensor: Tensor, x: Range) -> np.ndarray:
    """A batch with values of each channel in its range, its ends among them."""
    batch = rng.integers(x.low, x.high + 1, (SAMPLES, *tensor.shape[1:]))
    batch[0], batch[1] = x.low, x.high
    return batch.astype(tensor.dtype)


def its_values_lie_in_the_range_of_their_channel(example: Example) -> None:
    rng, node = np.random.default_rng(0), node_of(example)
    for _ in range(6):
        reads = drawn(rng, example)
        y = node.op.ranges(reads, example.shapes, node.constants)
        inputs = tuple(within(rng, t, x) for t, x in zip(example.reads, reads, strict=True))
        values = node.op.reference(inputs, node.constants)
        values = values.reshape(-1, values.shape[-1])
        assert (values >= y.low).all()
        assert (values <= y.high).all()


def _linked(rng: np.random.Generator, example: Example, channels: Channels) -> list[np.ndarray]:
    """Which channels of each input and of the output are gone, as the links allow it."""
    assert isinstance(channels, tuple)
    y = example.op.output_shape(*example.shapes)
    kept = {link.input for link in channels}
    gone = [np.full(s[-1], i in kept) for i, s in enumerate(example.shapes)]
    gone.append(_some(rng, y[-1]))
    for _ in range(sum(map(len, gone))):
        for link in channels:
            both = gone[link.input][link.part] & gone[-1][link.output]
            gone[link.input][link.part] = both
            gone[-1][link.output] = both
    return gone


def it_computes_the_same_for_the_channels_that_are_left(example: Example) -> None:
    rng, node = np.random.default_rng(1), node_of(example)
    channels = node.op.channels(example.shapes, node.constants)
    for _ in range(6 if channels is not None else 0):
        if isinstance(channels, Mixed):
            gone, values = _unmixed(rng, channels)
        else:
            gone, values = _linked(rng, example, channels), np.zeros(example.shapes[0][-1], int)
        inputs = list(batches(rng, example))
        if isinstance(channels, Mixed):
            inputs[0][..., gone[0]] = values[gone[0]]
        fewer = Fewer(~gone[-1], gone[0], values)
        op, constants = node.op.with_fewer_channels(fewer, node.constants)
        left = tuple(x[..., ~dead] for x, dead in zip(inputs, gone, strict=False))
        whole = node.op.reference(tuple(inputs), node.constants)
        np.testing.assert_array_equal(op.reference(left, constants), whole[..., ~gone[-1]])
        shapes = tuple((1, *x.shape[1:]) for x in left)
        assert op.output_shape(*shapes)[-1] == fewer.count
        specs = {role: (s.shape, s.dtype) for role, s in op.constants(*shapes).items()}
        assert specs == {role: (a.shape, a.dtype.name) for role, a in constants.items()}


def _unmixed(rng: np.random.Generator, mixed: Mixed) -> tuple[list[np.ndarray], np.ndarray]:
    """Some channels of the input that hold one value each, and some of the output."""
    inputs, outputs = mixed.weight.shape[-1], len(mixed.weight)
    values = rng.integers(-128, 128, (inputs,))
    if mixed.border is not None:
        values = np.full(inputs, mixed.border)
    return [_some(rng, inputs), _some(rng, outputs)], values


def _some(rng: np.random.Generator, count: int) -> np.ndarray:
    """Not all of them."""
    some: np.ndarray = rng.random(count) < 0.5
    some[rng.integers(count)] = False
    return some


def its_bytes_are_where_it_says(example: Example) -> None:
    rng, node = np.random.default_rng(2), node_of(example)
    view = node.op.view(*example.shapes)
    if not isinstance(view, View):
        return
    inputs = tuple(x[:1] for x in batches(rng, example))
    output = node.op.reference(inputs, node.constants).ravel()
    if view.output_at is not None:
        (whole,) = inputs
        found = whole.ravel()[view.output_at : view.output_at + output.size]
        np.testing.assert_array_equal(output, found)
    for x, at in zip(inputs, view.inputs_at or (), strict=view.inputs_at is not None):
        np.testing.assert_array_equal(output[at : at + x.size], x.ravel())
    if view.inputs_at is not None:
        assert sum(x.size for x in inputs) == output.size


def it_takes_a_clamp_over(example: Example) -> None:
    rng, node = np.random.default_rng(3), node_of(example)
    clamp = node.op.clamp()
    if clamp is None:
        return
    inputs = batches(rng, example)
    y = node.op.reference(inputs, node.constants)
    assert clamp.low <= y.min() <= y.max() <= clamp.high
    for _ in range(6):
        low, high = sorted(int(v) for v in rng.integers(-128, 128, 2))
        shift = 0 if clamp.zero_point is None else int(rng.integers(-40, 41))
        closer = clamp.clipped(low, high, shift)
        assert closer is not None
        taken = node.op.with_clamp(closer)
        assert taken.clamp() == closer
        expected = np.clip(y.astype(np.int64) + shift, low, high)
        np.testing.assert_array_equal(taken.reference(inputs, node.constants), expected)


def it_takes_a_border_over(example: Example) -> None:
    """A second input, which an addition reads, would grow with the border; it is left out."""
    rng, node = np.random.default_rng(4), node_of(example)
    for _ in range(4 if len(example.shapes) == 1 else 0):
        top, left, bottom, right = (int(n) for n in rng.integers(0, 3, 4))
        found = node.op.bordered((top, left, bottom, right))
        if isinstance(found, str):
            return
        (shape,) = example.shapes
        x = rng.integers(-128, 128, (SAMPLES, *shape[1:])).astype(np.int8)
        around = ((0, 0), (top, bottom), (left, right), (0, 0))
        padded = np.pad(x, around, constant_values=found.value)
        expected = node.op.reference((padded,), node.constants)
        np.testing.assert_array_equal(found.op.reference((x,), node.constants), expected)


def it_is_read_back_as_it_was_saved(example: Example) -> None:
    graph = example.graph("base")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.npz"
        save_graph(graph, path)
        loaded = load_graph(path)
    assert loaded.nodes[0].op == graph.nodes[0].op
    assert key_of(loaded.nodes[0], loaded, "base") == key_of(graph.nodes[0], graph, "base")


def it_minds_the_types_of_its_tensors(example: Example) -> None:
    """Each in turn is another one than the operator says that it has to be."""
    graph = example.graph("base")
    node = graph.nodes[0]
    names = (*node.inputs, node.output)
    right = [graph.tensors[name].dtype for name in names]
    for place in range(len(names)):
        types = tuple("int16" if i == place else dtype for i, dtype in enumerate(right))
        wrong = types != node.op.dtypes(*types[:-1])
        tensors = {n: replace(graph.tensors[n], dtype=t) for n, t in zip(names, types, strict=True)}
        assert wrong == _refused(replace(graph, tensors=tensors))


def _refused(graph: Graph) -> bool:
    try:
        check(graph)
    except InputError:
        return True
    return False


CHECKS: tuple[Callable[[Example], None], ...] = (
    its_values_lie_in_the_range_of_their_channel,
    it_computes_the_same_for_the_channels_that_are_left,
    its_bytes_are_where_it_says,
    it_takes_a_clamp_over,
    it_takes_a_border_over,
    it_is_read_back_as_it_was_saved,
    it_minds_the_types_of_its_tensors,
)
