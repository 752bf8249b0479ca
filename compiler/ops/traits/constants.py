# SPDX-License-Identifier: Apache-2.0
"""The constants an operator needs: shape, type, and an example of what trained layers hold.

Compilers put constants into instructions where they can, and small ones take fewer; so the random
examples, which tables are measured with, have the sizes of real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from tinytailor.compiler import narrow_weights
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.requantization import multipliers

INTEGERS = np.arange(-128, 128)  # what the 256 entries of a table stand for


@dataclass(frozen=True, slots=True)
class ConstantSpec:
    """``example(rng, shape)``: integers as they occur, before they get ``dtype``."""

    shape: Shape
    dtype: str
    example: Callable[[np.random.Generator, Shape], np.ndarray]

    @property
    def bytes(self) -> int:
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        return self.example(rng, self.shape).astype(self.dtype)


ConstantSpecs = Mapping[str, ConstantSpec]  # by role


def weights(shape: Shape, bits: int = 8, axis: int = 0) -> ConstantSpec:
    """int8, or packed: the axes from ``axis`` on are one run of ``bits`` each."""
    stored, dtype = narrow_weights.stored(shape, bits, axis)
    low, high = (-127, 128) if bits == 8 else (0, 256)
    return ConstantSpec(stored, dtype, lambda rng, shape: rng.integers(low, high, shape))


def biases(shape: Shape) -> ConstantSpec:
    return ConstantSpec(shape, "int32", lambda rng, shape: rng.integers(-(1 << 16), 1 << 16, shape))


def scales(shape: Shape) -> ConstantSpec:
    """Multipliers of a requantization."""

    def example(rng: np.random.Generator, shape: Shape) -> np.ndarray:
        return multipliers(rng.uniform(0.0005, 0.005, shape).astype(np.float32))[0]

    return ConstantSpec(shape, "int32", example)


def factors(shape: Shape) -> ConstantSpec:
    """Other int32 numbers that are multiplied with."""
    return ConstantSpec(shape, "int32", lambda rng, shape: rng.integers(1, 1 << 12, shape))


def table() -> ConstantSpec:
    """A function of int8 to int8, by x + 128."""
    return ConstantSpec((256,), "int8", lambda rng, shape: rng.integers(-127, 128, shape))


def tables(count: int) -> ConstantSpec:
    """The same for each of so many channels."""
    return ConstantSpec((count, 256), "int8", lambda rng, shape: rng.integers(-127, 128, shape))


def pixels() -> ConstantSpec:
    """Whole-pixel offsets by x + 128, most of them inside the map."""
    return ConstantSpec((256,), "int16", lambda rng, shape: rng.integers(-4, 5, shape))


def places(count: int, size: int) -> ConstantSpec:
    """``count`` places along an axis of ``size`` elements."""
    return ConstantSpec((count,), "int16", lambda rng, shape: rng.integers(0, size, shape))


def shares(count: int, whole: int) -> ConstantSpec:
    """``count`` pairs of numbers that come to ``whole``: how much of each of two neighbours."""

    def example(rng: np.random.Generator, shape: Shape) -> np.ndarray:
        second = rng.integers(0, whole + 1, shape[0])
        return np.stack([whole - second, second], axis=1)

    return ConstantSpec((count, 2), "int16", example)


def reals(shape: Shape) -> ConstantSpec:
    return ConstantSpec(shape, "float32", lambda rng, shape: rng.normal(size=shape))


def layer(weight: ConstantSpec, channels: int) -> dict[str, ConstantSpec]:
    """Weights with a bias and a multiplier for each output channel."""
    return {"weight": weight, "bias": biases((channels,)), "multiplier": scales((channels,))}
