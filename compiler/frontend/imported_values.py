# SPDX-License-Identifier: Apache-2.0
"""What a name of the model stands for while its calls are walked.

    Constant     numbers, perhaps quantized           Activation   an int8 tensor of our graph
    FloatInput   an input before QuantizeLinear        Expression   real numbers waiting for theirs
    Pointwise    real numbers that each depend on one element of a tensor
    Indices      places that were found, as int32    Float    computed in float, see float_calls.py
    Samples      an int16 input, which one operator makes int8 of
    Unknown      follows an operator that was refused

Model and device may disagree on the layout, which ``order`` says (layout.py). So reshape, squeeze
and transpose of the model only change ``shape`` and ``order``; an operator asks for the order it
needs, and a dense layer permutes its weight columns by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf, prod

import numpy as np

from tinytailor.compiler.frontend.layout import inverse, order_of
from tinytailor.compiler.frontend.quantization import Quantization
from tinytailor.compiler.frontend.report import Declined, Origin
from tinytailor.compiler.ir import Shape, Tensor
from tinytailor.compiler.ops.base import Operator


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """Numbers of the model. Quantized ones have ``scale`` and ``zero_point`` of the same shape, and
    took ``bits`` each in the file."""

    array: np.ndarray
    scale: np.ndarray | None = None
    zero_point: np.ndarray | None = None
    bits: int = 8

    @property
    def shape(self) -> Shape:
        return tuple(self.array.shape)

    def each(self, change: Callable[[np.ndarray], np.ndarray]) -> Constant:
        """The same change of shape applied to the numbers and to their quantization."""
        if self.scale is None or self.zero_point is None:
            return Constant(change(self.array))
        scale, zero_point = change(self.scale), change(self.zero_point)
        return Constant(change(self.array), scale, zero_point, self.bits)

    @property
    def integers(self) -> np.ndarray:
        """The stored integers less their zero points."""
        zero_point = 0 if self.zero_point is None else self.zero_point
        return self.array.astype(np.int64) - zero_point

    @property
    def real(self) -> np.ndarray:
        if self.scale is None:
            return self.array.astype(np.float64)
        return self.integers * self.scale.astype(np.float64)

    def times(self, factor: float) -> Constant:
        """The product with a number, quantized as before."""
        if self.scale is None:
            return Constant((self.real * factor).astype(np.float32))
        scale = (self.scale * np.float32(abs(factor))).astype(np.float32)
        signed = self.integers if factor >= 0 else -self.integers
        return Constant(signed, scale, np.zeros_like(signed), self.bits)


@dataclass(frozen=True, slots=True, eq=False)
class FloatInput:
    """``device``: the shape it has on a device, from the way the model uses it."""

    name: str
    shape: Shape
    order: np.ndarray
    device: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Activation:
    """``offset``: the model's integer minus ours, 128 for uint8. ``real``: dequantized already."""

    tensor: str
    shape: Shape
    order: np.ndarray
    real: bool = False
    offset: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """What follows an expression and becomes part of its operator; ``y`` is its output."""

    y: Tensor
    low: int
    high: int
    bias: Constant | None
    gain: np.ndarray | None = None  # of each output channel, where ``takes_gain``


Finished = tuple[Operator, tuple[str, ...], Mapping[str, np.ndarray]]


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """Real numbers that QuantizeLinear turns into a node: ``finish`` gives operator and constants.

    ``bias_axis``: the axis of the model's shape a constant may still be added on, and with
    ``takes_gain`` multiplied on; ``affine``: the expression times one array plus another;
    ``terms``: the tensors that it is the sum of, each with its sign.
    """

    shape: Shape
    order: np.ndarray
    device: Shape
    finish: Callable[[Fused], Finished]
    bias_axis: int | None = None
    bias: Constant | None = None
    low: float = -inf
    high: float = inf
    origin: Origin | None = None  # the operator it began with, which names its node
    known: Quantization | None = None  # that fits whatever it may hold
    kept: Quantization | None = None  # of the tensors that its numbers are picked from
    takes_gain: bool = False
    gain: np.ndarray | None = None
    affine: Callable[[np.ndarray, np.ndarray], Expression] | None = None
    terms: tuple[tuple[Activation, int], ...] = ()

    def clamped(self, low: float, high: float) -> Expression:
        bounds = [min(max(bound, low), high) for bound in (self.low, self.high)]
        cut = replace(self, low=bounds[0], high=bounds[1], bias_axis=None)
        exact = {*bounds} <= {-inf, 0.0, inf}  # other bounds need not be numbers of its scale
        return replace(cut, affine=None, terms=(), known=None, kept=self.kept if exact else None)


@dataclass(frozen=True, slots=True, eq=False)
class Pointwise:
    """``real``: float32 (256,), what the elements -128 to 127 of the tensor become."""

    tensor: str
    shape: Shape
    order: np.ndarray
    real: np.ndarray
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Indices:
    """An int32 tensor of places, which can only leave the graph."""

    tensor: str
    shape: Shape
    order: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """An int16 tensor of a sensor's numbers, an input."""

    tensor: str
    shape: Shape
    order: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Float:
    """The result of call ``index``, which has no integer form; ``origin`` is the first such."""

    index: int
    shape: Shape
    origin: Origin


@dataclass(frozen=True, slots=True, eq=False)
class Unknown:
    shape: Shape


Value = (
    Constant
    | FloatInput
    | Activation
    | Expression
    | Pointwise
    | Indices
    | Samples
    | Float
    | Unknown
)
Placed = FloatInput | Activation | Expression | Pointwise | Indices


def reshaped(value: Placed, shape: Shape) -> Placed:
    if prod(shape) != prod(value.shape):
        raise Declined(f"cannot reshape {value.shape} to {shape}")
    return unbiased(replace(value, shape=shape))


def transposed(value: Placed, axes: tuple[int, ...]) -> Placed:
    """The element at old place p is now at place inverse[p]; memory does not move."""
    shape = tuple(value.shape[axis] for axis in axes)
    moved = inverse(order_of(value.shape, axes))
    return unbiased(replace(value, shape=shape, order=moved[value.order]))


def unbiased(value: Placed) -> Placed:
    """Once its shape has changed, nothing can be added along the channels any more."""
    if not isinstance(value, Expression):
        return value
    return replace(value, bias_axis=None, affine=None, terms=())
