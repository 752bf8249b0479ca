# SPDX-License-Identifier: Apache-2.0
"""Random integer networks: branches, joins, residual sums, odd shapes; one seed, one network.

``MAKERS`` holds a line per operator: how often it is drawn and a function that adds it to a network
that grows. An operator without a line takes part through its examples of the conformance kit, on
graph inputs of their shapes. Constants are random in the ranges that trained networks have: weights
of all sizes, multipliers that bring the sums to int8, zero points and clamps of activations.

    python tests/compiler/check_random_networks.py SEED     reproduces one network
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod, sqrt

import numpy as np

from tinytailor.compiler.ir import Graph, Node, Shape, Tensor, check
from tinytailor.compiler.opkey import example_constants
from tinytailor.compiler.ops import (
    Add,
    AddConstant,
    AveragePool2d,
    Concat,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    Lookup,
    MaxPool2d,
    Mul,
    Operator,
    Pad,
    Reshape,
    Softmax,
    SquareDeformDW,
    tabled,
)
from tinytailor.compiler.ops.softmax import exponentials
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.requantization import Requant, multipliers
from tinytailor.compiler.testing.examples import every_example
from tinytailor.targets.errors import InputError

EXAMPLES = every_example()

MAX_ELEMENTS = 1500  # of one tensor: the emulator executes every element
SPREAD = 60.0  # of activations, in integer steps


class Growing:
    """A network that grows by one operator after another."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors: dict[str, Tensor] = {}
        self.inputs: list[str] = []
        self.nodes: list[Node] = []
        self.viewed: set[str] = set()

    def one_of(self, *choices: object) -> object:
        return choices[int(self.rng.integers(len(choices)))]

    def integer(self, low: int, high: int) -> int:
        """Uniform in low..high, both included."""
        return int(self.rng.integers(low, high + 1))

    def tensor(self, name: str, shape: Shape) -> Tensor:
        scale = float(np.float32(np.exp(self.rng.uniform(-5, 0))))
        zero_point = self.integer(-128, 127) if self.rng.random() < 0.7 else -128
        self.tensors[name] = Tensor(name, shape, "int8", scale, zero_point)
        return self.tensors[name]

    def input(self, shape: Shape, dtype: str = "int8") -> str:
        name = f"x{len(self.inputs)}"
        self.inputs.append(name)
        self.tensors[name] = replace(self.tensor(name, shape), dtype=dtype)
        return name

    def names(self) -> list[str]:
        """The tensors that operators read; indices are for the caller alone."""
        return [t for t, x in self.tensors.items() if x.dtype == "int8"]

    def any(self) -> str:
        return str(self.one_of(*self.names()))

    def some(self, rank: int) -> str | None:
        """A tensor of this rank, a late one most of the time; None if there is none."""
        names = [t for t in self.names() if len(self.tensors[t].shape) == rank]
        if not names:
            return None
        return names[-1 - min(len(names) - 1, int(self.rng.geometric(0.6)) - 1)]

    def twin(self, name: str, fits: Callable[[Shape], bool]) -> str | None:
        """Another tensor, or now and then the same, whose shape fits."""
        names = [t for t in self.names() if fits(self.tensors[t].shape)]
        others = [t for t in names if t != name] or names
        return str(self.one_of(*others)) if others else None

    def append(
        self,
        op: Operator,
        inputs: tuple[str, ...],
        constants: Mapping[str, np.ndarray] | None = None,
        output: Tensor | None = None,
    ) -> None:
        """Add a node whose output is new, or ``output``, made before for its scale."""
        shape = op.output_shape(*(self.tensors[t].shape for t in inputs))
        if output is None:
            output = self.tensor(f"t{len(self.nodes)}", shape)
        made = op.dtypes(*("int8" for _ in inputs))[-1]
        if made != "int8":
            output = Tensor(output.name, shape, made)
            self.tensors[output.name] = output
        node = Node(f"n{len(self.nodes)}", op, inputs, output.name, dict(constants or {}))
        self.nodes.append(node)

    def output(self, shape: Shape) -> Tensor:
        return self.tensor(f"t{len(self.nodes)}", shape)

    def clamp(self, zero_point: int) -> tuple[int, int]:
        """No activation, ReLU, or ReLU6."""
        kind = self.rng.random()
        if kind < 0.4 or zero_point == 127:
            return -128, 127
        return zero_point, 127 if kind < 0.7 else self.integer(zero_point + 1, 127)

    def weights(self, shape: Shape) -> np.ndarray:
        """int8 weights of a random size, in some networks with dead output channels."""
        size = int(self.one_of(2, 12, 127, 127))
        weight = self.rng.integers(-size, size + 1, shape)
        return weight.astype(np.int8)

    def requantized(
        self, weight: np.ndarray, channel_axis: int, zero_point: int, y: Tensor
    ) -> tuple[dict[str, np.ndarray], Requant]:
        """Bias and multipliers that fill the range of ``y`` for weights, and the requantization."""
        channels = weight.shape[channel_axis]
        flat = np.moveaxis(weight, channel_axis, 0).reshape(channels, -1).astype(np.int64)
        reach = SPREAD * np.maximum(1.0, np.sqrt((flat**2).sum(axis=1)))
        bias = np.rint(self.rng.normal(0, reach)) - zero_point * flat.sum(axis=1)
        wanted = self.rng.uniform(10, 90) * self.rng.uniform(0.5, 2, channels)
        multiplier, shift = multipliers((wanted / reach).astype(np.float32))
        low, high = self.clamp(y.zero_point)
        constants = {"bias": bias.astype(np.int32), "multiplier": multiplier}
        return constants, Requant(y.zero_point, shift, low, high)

    def window(self, shape: Shape, largest: int) -> Window:
        """One that fits a map; padding is smaller than the kernel."""
        kernel = tuple(self.integer(1, min(largest, shape[a] + 2)) for a in (1, 2))
        stride = (self.integer(1, 3), self.integer(1, 3)) if self.rng.random() < 0.4 else (1, 1)
        kind = self.rng.random()
        if kind < 0.5:
            before = tuple((k - 1) // 2 for k in kernel)
            padding = (*before, *((k - 1 - b) for k, b in zip(kernel, before, strict=True)))
        elif kind < 0.75:
            padding = (0, 0, 0, 0)
        else:
            padding = tuple(self.integer(0, kernel[i % 2] - 1) for i in range(4))
        return Window(kernel, stride, padding)


def _conv(g: Growing) -> None:
    x = g.some(4)
    shape, zero_point = g.tensors[x].shape, g.tensors[x].zero_point
    window = g.window(shape, 5)
    if g.rng.random() < 0.35:
        window = Window((1, 1), window.stride)
    if g.rng.random() < 0.2:
        window = replace(window, dilation=(g.integer(1, 2), g.integer(1, 2)))
    channels = g.integer(1, 13)
    bare = Conv2d(channels, window)
    y = g.output(bare.output_shape(shape))
    weight = g.weights((channels, *window.kernel, shape[3]))
    if g.rng.random() < 0.1:
        weight[g.integer(0, channels - 1)] = 0
    constants, requant = g.requantized(weight, 0, zero_point, y)
    op = Conv2d(channels, window, zero_point, requant)
    g.append(op, (x,), {"weight": weight, **constants}, y)


def _depthwise(g: Growing) -> None:
    x = g.some(4)
    shape, zero_point = g.tensors[x].shape, g.tensors[x].zero_point
    window = g.window(shape, 5)
    if g.rng.random() < 0.15:
        window = replace(window, dilation=(2, 2))
    bare = DepthwiseConv2d(window)
    y = g.output(bare.output_shape(shape))
    weight = g.weights((*window.kernel, shape[3]))
    constants, requant = g.requantized(weight, 2, zero_point, y)
    op = DepthwiseConv2d(window, zero_point, requant)
    g.append(op, (x,), {"weight": weight, **constants}, y)


def _dense(g: Growing) -> None:
    x = g.some(2)
    features = g.integer(1, 20)
    y = g.output((1, features))
    weight = g.weights((features, g.tensors[x].shape[1]))
    constants, requant = g.requantized(weight, 0, g.tensors[x].zero_point, y)
    g.append(Dense(features, requant), (x,), {"weight": weight, **constants}, y)


def _square_deform(g: Growing) -> None:
    x = g.some(4)
    shape, zero_point = g.tensors[x].shape, g.tensors[x].zero_point
    y = g.output(shape)
    weight, offset = g.weights((3, 3, shape[3])), g.weights((shape[3],))
    constants, requant = g.requantized(weight, 2, zero_point, y)
    reach = SPREAD * max(1.0, sqrt(float((offset.astype(np.int64) ** 2).sum())))
    scale = np.full(1, 3 / reach, np.float32)
    multiplier, shift = multipliers(scale)
    bias = np.full(1, reach - zero_point * int(offset.astype(np.int64).sum()))
    path = {
        "offset_weight": offset,
        "offset_bias": bias.astype(np.int32),
        "offset_multiplier": multiplier,
    }
    op = SquareDeformDW(zero_point, shift, requant)
    g.append(op, (x,), {**path, "weight": weight, **constants}, y)


def _sum(g: Growing) -> None:
    a = g.any()
    shape = g.tensors[a].shape
    b = g.twin(a, lambda s: s == shape)
    y = g.output(shape)
    low, high = g.clamp(y.zero_point)
    sign = int(g.one_of(1, 1, 1, -1))
    g.append(Add.from_scales(g.tensors[a], g.tensors[b], y, low, high, sign), (a, b), None, y)


def _product(g: Growing) -> None:
    a = g.any()
    shape = g.tensors[a].shape
    channels = (1, 1, 1, *shape[3:])
    b = g.twin(a, lambda s: s in (shape, channels))
    y = g.output(shape)
    low, high = g.clamp(y.zero_point)
    g.append(Mul.from_scales(g.tensors[a], g.tensors[b], y, low, high), (a, b), None, y)


def _constant_sum(g: Growing) -> None:
    x = g.any()
    a = g.tensors[x]
    y = g.output(a.shape)
    constant = g.rng.normal(0, 50 * y.scale, a.shape[-1])
    low, high = g.clamp(y.zero_point)
    sign = int(g.one_of(1, -1))
    op, bias = AddConstant.from_scales(a, constant, y, low, high, sign)
    g.append(op, (x,), {"bias": bias}, y)


def _lookup(g: Growing) -> None:
    x = g.any()
    g.append(Lookup(), (x,), {"table": g.rng.integers(-128, 128, 256).astype(np.int8)})


def _max_pool(g: Growing) -> None:
    x = g.some(4)
    low, high = g.clamp(g.tensors[x].zero_point)
    g.append(MaxPool2d(g.window(g.tensors[x].shape, 4), low, high), (x,))


def _average_pool(g: Growing) -> None:
    x = g.some(4)
    shape = g.tensors[x].shape
    low, high = g.clamp(g.tensors[x].zero_point)
    window = g.window(shape, 4)
    if g.rng.random() < 0.3:
        window = Window(shape[1:3])
    g.append(AveragePool2d(window, low, high), (x,))


def _concat(g: Growing) -> None:
    x = g.any()
    shape = g.tensors[x].shape
    axis = g.integer(1, len(shape) - 1)

    def fits(other: Shape) -> bool:
        return len(other) == len(shape) and all(
            a == b for i, (a, b) in enumerate(zip(shape, other, strict=True)) if i != axis
        )

    parts = [x] + [str(g.twin(x, fits)) for _ in range(g.integer(1, 2))]
    g.append(Concat(axis), tuple(parts))


def _pad(g: Growing) -> None:
    x = g.some(4)
    before, after = (tuple(g.integer(0, 2) for _ in range(3)) for _ in range(2))
    g.append(Pad(before, after, g.integer(-128, 127)), (x,))


def _reshape(g: Growing) -> None:
    x = g.any()
    if x in g.inputs or x in g.viewed:
        raise InputError("a view of an input, or a second one of a tensor")
    count = prod(g.tensors[x].shape)
    rows = int(g.one_of(*(d for d in range(1, count + 1) if count % d == 0)))
    pixels = count // rows
    columns = int(g.one_of(*(d for d in range(1, pixels + 1) if pixels % d == 0)))
    g.viewed.add(x)
    g.append(Reshape(g.one_of((1, count), (1, rows, columns, pixels // columns))), (x,))


def _softmax(g: Growing) -> None:
    x = g.some(2)
    classes = g.tensors[x].shape[1]
    op = Softmax.from_key(g.one_of({}, {"fraction": 6}))
    table = exponentials(g.tensors[x].scale, classes, op.fraction)
    g.append(op, (x,), {"table": table})


def _by_example(g: Growing) -> None:
    example = g.one_of(*(e for e in EXAMPLES if e.op.kind not in NAMED))
    if sum(map(prod, example.shapes)) > MAX_ELEMENTS:
        raise InputError("an example of larger tensors")
    inputs = tuple(g.input(tensor.shape, tensor.dtype) for tensor in example.reads)
    constants = example_constants(example.op, example.shapes, g.integer(0, 1 << 30))
    g.append(example.op, inputs, constants)


MAKERS: tuple[tuple[float, type[Operator], Callable[[Growing], None]], ...] = (
    (6, Conv2d, _conv),
    (3, DepthwiseConv2d, _depthwise),
    (2, Dense, _dense),
    (0.5, SquareDeformDW, _square_deform),
    (4, Add, _sum),
    (1.5, Mul, _product),
    (1, AddConstant, _constant_sum),
    (1, Lookup, _lookup),
    (1.5, MaxPool2d, _max_pool),
    (1.5, AveragePool2d, _average_pool),
    (2, Concat, _concat),
    (1, Pad, _pad),
    (2, Reshape, _reshape),
    (0.5, Softmax, _softmax),
)
NAMED = {op.kind for _, op, _ in MAKERS}
UNNAMED = set(tabled()) - NAMED


def random_network(seed: int) -> Graph:
    """The network of ``seed``: one to six operators; whatever nothing reads is an output."""
    g = Growing(seed)
    g.input((1, g.integer(1, 10), g.integer(1, 9), g.integer(1, 12)))
    if g.rng.random() < 0.3:
        g.input((1, g.integer(1, 40)))
    makers = [(weight, maker) for weight, _, maker in MAKERS]
    if UNNAMED:
        makers.append((float(len(UNNAMED)), _by_example))
    chances = np.array([weight for weight, _ in makers])
    wanted = g.integer(1, 6)
    for _ in range(20 * wanted):
        if len(g.nodes) >= wanted:
            break
        _grow(g, makers[int(g.rng.choice(len(makers), p=chances / chances.sum()))][1])
    return _finish(g, seed)


def _grow(g: Growing, maker: Callable[[Growing], None]) -> None:
    """Add one operator, or nothing where it does not fit what there is."""
    tensors, inputs, viewed = dict(g.tensors), list(g.inputs), set(g.viewed)
    ranks = {len(g.tensors[t].shape) for t in g.names()}
    try:
        if ranks >= ({2} if maker in (_dense, _softmax) else {4}):
            maker(g)
    except InputError:
        g.tensors, g.inputs, g.viewed = tensors, inputs, viewed
    if g.nodes and prod(g.tensors[g.nodes[-1].output].shape) > MAX_ELEMENTS:
        g.nodes.pop()
        g.tensors, g.inputs, g.viewed = tensors, inputs, viewed


def _finish(g: Growing, seed: int) -> Graph:
    used = {t for node in g.nodes for t in node.inputs}
    if not g.nodes:
        _lookup(g)
        used = set(g.nodes[-1].inputs)
    inputs = tuple(t for t in g.inputs if t in used)
    made = {node.output for node in g.nodes}
    tensors = {t: x for t, x in g.tensors.items() if t in made or t in inputs}
    outputs = tuple(node.output for node in g.nodes if node.output not in used)
    return check(Graph(f"g{seed}", inputs, outputs, tensors, tuple(g.nodes)))


def describe(graph: Graph) -> str:
    """The network in lines, for the message of a failed test."""
    lines = [f"  input {t}: {graph.tensors[t].shape}" for t in graph.inputs]
    for node in graph.nodes:
        shape = graph.tensors[node.output].shape
        lines.append(f"  {node.output} {shape} = {node.op} of {', '.join(node.inputs)}")
    return "\n".join((*lines, f"  outputs: {', '.join(graph.outputs)}"))
