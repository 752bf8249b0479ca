# SPDX-License-Identifier: Apache-2.0
"""What an operator does with channels (the last axis), so that those that carry nothing can go.

links     channels of an input are channels of the output: they come and go together
Mixed     each output channel is a weighted sum over the channels of the input
None      it needs all channels of all its tensors
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tinytailor.compiler.ir import Constants, Shape

ALL = slice(None)


@dataclass(frozen=True, slots=True)
class Link:
    """Channels ``part`` of an input are the channels ``output`` of the output."""

    input: int
    part: slice = field(default_factory=lambda: ALL)
    output: slice = field(default_factory=lambda: ALL)


@dataclass(frozen=True, slots=True, eq=False)
class Mixed:
    """acc[o] = bias[o] + sum weight[o, ..., c] * x[c].

    ``border``: what is read beside the map; None where nothing is.
    """

    weight: np.ndarray
    bias: np.ndarray
    border: int | None = None


Channels = tuple[Link, ...] | Mixed | None


@dataclass(frozen=True, slots=True, eq=False)
class Fewer:
    """``stay``: which channels of the output; ``gone``: which of the first input are not there any
    more, and what ``values`` its channels have that are constant."""

    stay: np.ndarray
    gone: np.ndarray
    values: np.ndarray

    @property
    def count(self) -> int:
        """Channels of the output that are left."""
        return int(self.stay.sum())


def linked(*inputs: Shape, output: Shape) -> tuple[Link, ...]:
    """Channel to channel; inputs of one channel that is repeated for all are left as they are."""
    return tuple(Link(i) for i, x in enumerate(inputs) if x[-1] == output[-1])


def of_channels(array: np.ndarray, stay: np.ndarray) -> np.ndarray:
    """Of an array that may be repeated along channels those that stay."""
    return array if array.shape[-1] == 1 != len(stay) else np.ascontiguousarray(array[..., stay])


def mixed(constants: Constants, fewer: Fewer) -> dict[str, np.ndarray]:
    """Weights, bias and multipliers of a sum; the constant terms that go are in the bias."""
    weight = constants["weight"][fewer.stay]
    sums = weight.astype(np.int64).reshape(len(weight), -1, weight.shape[-1]).sum(axis=1)
    bias = constants["bias"][fewer.stay] + sums[:, fewer.gone] @ fewer.values[fewer.gone]
    return {
        "weight": np.ascontiguousarray(weight[..., ~fewer.gone]),
        "bias": bias.astype(np.int32),
        "multiplier": constants["multiplier"][fewer.stay],
    }
