# SPDX-License-Identifier: Apache-2.0
"""What an operator is, and everything that it can say about itself.

One operator is one file in this package and one line in ``__init__``; no other file names it. The
record holds attributes only: kernel, stride, zero points, clamp. Shapes come from the tensors,
arrays from the node.

    meaning      output_shape, dtypes, macs, constants, reference
    examples     what it is tried on (compiler/testing/operators.py)
    key          its fields, each with its metadata (traits/keys.py)
    values       ranges, accumulators, clamp, table: what its integers can be
    channels     channels, with_fewer_channels: what becomes of those that carry nothing
    memory       view, in_place, placed_by_constants: where its tensors can lie
    neighbours   identity, surround, bordered, epilogue, ended_by: what it can be joined with

Only the meaning has to be written; all else has a default that holds for any operator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.traits import keys
from tinytailor.compiler.ops.traits.channels import Channels, Fewer
from tinytailor.compiler.ops.traits.constants import ConstantSpecs
from tinytailor.compiler.ops.traits.examples import Examples
from tinytailor.compiler.ops.traits.neighbours import Bordered, Clamp, Surround, View
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, accumulated, full, requantized
from tinytailor.compiler.ops.window import Padding, Window
from tinytailor.compiler.requantization import Requant


@dataclass(frozen=True, slots=True)
class Operator(ABC):
    kind: ClassVar[str]
    in_tables: ClassVar[bool] = True  # whether latency tables have keys of it
    in_place: ClassVar[bool] = True  # whether its output can lie over its input, or nearly
    placed_by_constants: ClassVar[bool] = False  # whether their values decide how near
    takes_epilogue: ClassVar[bool] = False  # whether ``ended_by`` can be something

    @abstractmethod
    def output_shape(self, *inputs: Shape) -> Shape:
        """Shape of the output, or InputError saying what was expected."""

    @abstractmethod
    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        """The meaning in plain numpy for a batch, independent of the TIR that is compiled."""

    @classmethod
    def examples(cls) -> Examples:
        """What it is tried on, by names: whatever makes its kernels differ."""
        return {}

    def dtypes(self, *read: str) -> tuple[str, ...]:
        """Types that the inputs must have and the output has, where ``read`` are the inputs'."""
        return (*("int8" for _ in read), "int8")

    def macs(self, *inputs: Shape) -> int:
        """Multiply-accumulates, padding included (the field's convention)."""
        return 0

    def constants(self, *inputs: Shape) -> ConstantSpecs:
        """The arrays that a node must carry, by role."""
        return {}

    def key_attributes(self) -> dict[str, Any]:
        """JSON values that change the generated code, besides shapes: what an OpKey holds."""
        return keys.key_attributes(self)

    @classmethod
    def from_key(cls, attributes: Mapping[str, Any]) -> Self:
        """An operator with these key attributes and neutral values for the rest."""
        return keys.from_key(cls, attributes)

    def in_float(self) -> tuple[str, ...]:
        """The operators of the model that it computes in float; none of one that is integer."""
        return ()

    def with_weight_bits(self, bits: int) -> Self | None:
        """Itself with its constant "weight" packed into fewer bits; None where it has none such."""
        return None

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        """What values the channels of its output can take, given those of its inputs."""
        clamp = self.clamp()
        ends = (-128, 127) if clamp is None else (clamp.low, clamp.high)
        return full(self.output_shape(*inputs)[-1], *ends)

    def accumulators(self, inputs: Shapes, constants: Constants) -> Range | None:
        """The least and the largest number that its 32-bit sums reach for any int8 inputs, by
        channel; None where there is nothing that could leave 32 bits."""
        return None

    def clamp(self) -> Clamp | None:
        """The clamp that its output has gone through; None where there is none."""
        return None

    def with_clamp(self, clamp: Clamp) -> Self:
        """Itself with another one instead."""
        raise NotImplementedError(f"{self.kind} has no clamp")

    def table(self, constants: Constants) -> np.ndarray | None:
        """Its outputs for -128 ... 127 where it is a function of single elements, else None."""
        return None

    def mapped(self, table: np.ndarray, constants: Constants) -> Constants | None:
        """Constants with which it also does table[y + 128] behind it; None where none do."""
        return None

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        return None

    def with_fewer_channels(self, fewer: Fewer, constants: Constants) -> tuple[Self, Constants]:
        """Itself and its constants for what is left, as its ``channels`` allows it."""
        return self, constants

    def view(self, *inputs: Shape) -> View | str | None:
        """Where its tensors can lie in each other, so that it need not run; why there is no such
        place, of one that only moves bytes; None of one that computes."""
        return None

    def identity(self, inputs: Shapes, constants: Constants) -> str:
        """Why its output is its input, byte for byte; "" where it is not."""
        return ""

    def surround(self) -> Surround | None:
        """What it writes round its input, if that is all it does."""
        return None

    def bordered(self, padding: Padding) -> Bordered | str:
        """Itself with so much more border round its first input, or why it cannot have that."""
        return f"({self.kind}) has no border"

    def epilogue(self, operand: int) -> Operator | None:
        """Itself as what another operator does to its result, ``operand``, before it stores it,
        with that operand first; None of one that nothing can end with."""
        return None

    def ended_by(self, epilogue: Operator) -> Self | None:
        """Itself with ``epilogue`` as its last step; None where it has one."""
        return None


class Requantized(Operator):
    """Whose output is what its requantization makes of a sum."""

    __slots__ = ()
    requant: Requant

    def clamp(self) -> Clamp | None:
        return Clamp.of(self.requant)

    def with_clamp(self, clamp: Clamp) -> Self:
        op: Any = self
        return replace(op, requant=clamp.on(op.requant))


class Summed(Requantized):
    """Whose sum is bias[o] and numbers of its first input times weights."""

    __slots__ = ()

    def terms(self, x: Range, inputs: Shapes, constants: Constants) -> Range:
        """What the products alone come to for numbers in ``x``, by output channel."""
        raise NotImplementedError

    def seen(self, x: Range) -> Range:
        """``x`` as its weights meet it, with what is read beside the map."""
        return x

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        acc = self.terms(self.seen(reads[0]), inputs, constants).plus(constants["bias"])
        return requantized(self.requant, acc, constants["multiplier"])

    def accumulators(self, inputs: Shapes, constants: Constants) -> Range:
        terms = self.terms(full(inputs[0][-1]), inputs, constants)
        return accumulated(terms, constants["bias"], self.requant.shift)


class Sampled(Summed):
    """Which reads ``input_zero_point`` beside the map."""

    __slots__ = ()
    input_zero_point: int

    def seen(self, x: Range) -> Range:
        return x.widened(self.input_zero_point)


class Windowed(Sampled):
    """At the places of a window, which may have no border."""

    __slots__ = ()
    window: Window

    def seen(self, x: Range) -> Range:
        return Sampled.seen(self, x) if self.window.bordered else x

    def bordered(self, padding: Padding) -> Bordered:
        op: Any = self
        return Bordered(replace(op, window=self.window.padded(padding)), self.input_zero_point)


class Clamped(Operator):
    """With bounds of its own."""

    __slots__ = ()
    low: int
    high: int

    def clamp(self) -> Clamp | None:
        return Clamp(self.low, self.high)

    def with_clamp(self, clamp: Clamp) -> Self:
        op: Any = self
        return replace(op, low=clamp.low, high=clamp.high)


class Shifted(Clamped):
    """With bounds and a zero point of its own."""

    __slots__ = ()
    zero_point: int

    def clamp(self) -> Clamp | None:
        return Clamp(self.low, self.high, self.zero_point)

    def with_clamp(self, clamp: Clamp) -> Self:
        op: Any = self
        return replace(op, zero_point=clamp.zero_point, low=clamp.low, high=clamp.high)
