# SPDX-License-Identifier: Apache-2.0
"""What a layer is: a name, the tensors it reads, and a kind, whose file holds every form of it.

A kind is made of steps. A step is one integer operator, a primitive, which reads tensors of the
layer and writes one; each has a quantization of its own. Most kinds are a single step, others are
several and name what is between them:

    a convolution      0 --filters--> OUT
    a channel gate     0 --mean--> mean --filters--> squeezed --filters--> excited --table--> gate
                       0, gate --product--> OUT

A primitive says what training, export and the compiler need to know of its operator. All that walk
a network (network/, training/, supernet/, cost.py) see steps and never a kind.
Shapes are NHWC, torch tensors NCHW.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from tinytailor.compiler import ir
from tinytailor.compiler.ir import Constants, Shape
from tinytailor.compiler.ops import Operator
from tinytailor.nas.layers.lines import Lines
from tinytailor.nas.layers.onnx_step import OnnxStep, Stored
from tinytailor.nas.quantization.base import Affine, Quantized, Quantizer
from tinytailor.targets.errors import InputError

Weights = Mapping[str, Tensor]  # float, by role
Integers = Mapping[str, np.ndarray]  # what a quantizer made of them, and its scales
Filled = tuple[Operator, Constants]  # an operator with what was trained
Tensors = tuple[ir.Tensor, ...]  # with scale and zero point
OUT = ""  # the tensor of a layer that other layers read


class Trained(nn.Module):
    """The float weights of a primitive as they are trained."""

    def folded(self) -> Weights:
        """As they are quantized: batch norm folded in, detached."""
        raise NotImplementedError

    def fill(self, lines: Lines) -> None:
        """Take what is known of the data's channels, of one that reads them."""

    def part(self, step: PlacedStep) -> dict[str, Tensor]:
        """The state of the same module of a narrower ``step``: views of the first channels and
        the middle taps."""
        raise NotImplementedError

    def nested(self, step: PlacedStep, values: Sequence[Tensor]) -> Tensor:
        """What that computes in training, with the statistics of the batch."""
        raise NotImplementedError


class Primitive:
    """One integer operator in every form; the defaults are those of one without weights."""

    __slots__ = ()
    mixes: ClassVar[bool] = False  # whether a channel it writes depends on other channels
    learns: ClassVar[bool] = True  # whether its weights are changed by training
    integral: ClassVar[bool] = False  # whether in ONNX it reads and writes integers

    def operator(self, *shapes: Shape) -> Operator:
        """The operator for inputs of these shapes, neutral in all that training decides."""
        raise NotImplementedError

    def compute(self, weights: Weights, *values: Tensor) -> Tensor:
        """Its meaning in real numbers, with folded ``weights``."""
        raise NotImplementedError

    def onnx(self, step: OnnxStep) -> None:
        """The same as ONNX nodes."""
        raise NotImplementedError

    def trained(self, shapes: tuple[Shape, ...], generator: torch.Generator) -> Trained | None:
        """Its weights, initialised from ``generator`` only; None where it has none."""
        return None

    def quantization(
        self, quantizer: Quantizer, low: float, high: float, reads: tuple[Quantized, ...]
    ) -> Affine:
        """Of what it writes, whose values were seen in ``low..high``."""
        return quantizer.activation(low, high)

    def fake(
        self, weights: Weights, quantizer: Quantizer, reads: Tensors, writes: ir.Tensor
    ) -> Weights:
        """``weights`` rounded to what ``integers`` makes of them; gradients pass."""
        return {}

    def integers(
        self, weights: Weights, quantizer: Quantizer, reads: Tensors, writes: ir.Tensor
    ) -> Integers:
        """What the device and the ONNX file hold; zero points are not folded in yet."""
        return {}

    def filled(self, op: Operator, integers: Integers, reads: Tensors, writes: ir.Tensor) -> Filled:
        """``op`` with zero points and multipliers, and its constants by role."""
        return op, {}

    def stored(self, integers: Integers, reads: Tensors) -> Mapping[str, Stored]:
        """The integers as ONNX stores them, by the role of the weight that they are."""
        return {}


@dataclass(frozen=True, slots=True)
class Step:
    """``primitive`` reading the layer's inputs, by number, and its own tensors, by name."""

    primitive: Primitive
    reads: tuple[int | str, ...] = (0,)
    writes: str = OUT


class Kind(Protocol):
    """What a layer computes: a frozen record of attributes, hashable and without arrays."""

    name: ClassVar[str]

    @property
    def one_width(self) -> bool:
        """Whether it writes as many channels as it reads, however many."""

    @property
    def family(self) -> Kind:
        """Kinds of one family can share weights: those of fewer ``taps`` are in their middle."""
        return self

    @property
    def taps(self) -> int:
        return 1

    def at(self, channels: int) -> Kind:
        """The same kind writing ``channels``; itself where that is decided by what it reads."""

    def joined(self, total: Tensor) -> Tensor:
        """What it makes of the sum of two terms or more, of a kind that joins them."""
        return total

    def steps(self, *shapes: Shape) -> tuple[Step, ...]:
        """In execution order, for inputs of these shapes; the last one writes OUT."""

    @classmethod
    def examples(cls) -> tuple[tuple[Kind, tuple[Shape, ...]], ...]:
        """Records and input shapes that nas/testing/layers.py checks every form of."""


class Single(Primitive, Kind):
    """A kind that is one primitive."""

    @property
    def one_width(self) -> bool:
        return not self.mixes

    def at(self, channels: int) -> Kind:
        return self

    def steps(self, *shapes: Shape) -> tuple[Step, ...]:
        return (Step(self, tuple(range(len(shapes)))),)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a network; ``sources`` are layers before it, or an input of the network."""

    name: str
    sources: tuple[str, ...]
    kind: Kind


@dataclass(frozen=True, slots=True)
class PlacedStep:
    """A step in a network: ``name`` is that of the tensor it writes, of shape ``shape``."""

    name: str
    primitive: Primitive
    sources: tuple[str, ...]
    shapes: tuple[Shape, ...]
    operator: Operator
    shape: Shape


def placed_steps(layer: Layer, shapes: Mapping[str, Shape]) -> Iterator[PlacedStep]:
    """The steps of a layer whose sources have these shapes; its last one is named as the layer.

    What is inside of a layer is named LAYER/TENSOR.
    """
    known = {name: shapes[name] for name in layer.sources}
    if "/" in layer.name:
        raise InputError(f"layer {layer.name!r}: a name holds no /, which parts a layer's tensors")
    for step in layer.kind.steps(*(shapes[name] for name in layer.sources)):
        name = f"{layer.name}/{step.writes}" if step.writes else layer.name
        sources = tuple(
            layer.sources[read] if isinstance(read, int) else f"{layer.name}/{read}"
            for read in step.reads
        )
        inputs = tuple(known[source] for source in sources)
        op = step.primitive.operator(*inputs)
        known[name] = op.output_shape(*inputs)
        yield PlacedStep(name, step.primitive, sources, inputs, op, known[name])
