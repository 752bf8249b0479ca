# SPDX-License-Identifier: Apache-2.0
"""Which operators a distribution over a space may need, how likely and how wide.

A slot is an operator that some network of the space has. Under probabilities for every decision it
exists with probability p, reads i channels with probability v_i and writes o with probability w_o.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tinytailor.nas.network.topology import INPUT, AddLayer, ConvLayer, Layer, PoolLayer, Topology

FIXED = (1,)  # the widths of a side whose number of channels is given or does not matter


@dataclass(frozen=True, slots=True)
class Slot:
    """``layer`` at its widest over maps of (H, W), and the widths it reads and writes.

    One that reads the network's input (``first``) reads nothing in the arena. Where it writes the
    width that it reads, the widths are ``outputs`` and ``inputs`` is FIXED; a convolution that is
    not depthwise is ``square`` then.
    """

    layer: Layer
    shape: tuple[int, int]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    first: bool = False
    square: bool = False

    @property
    def one_width(self) -> bool:
        """Whether what it reads is as wide as what it writes."""
        return self.square or not isinstance(self.layer, ConvLayer) or self.layer.depthwise

    @property
    def most_inputs(self) -> int:
        return (self.outputs if self.one_width else self.inputs)[-1]

    def topology(self, channels_in: int, channels_out: int) -> Topology:
        """The operator alone at these widths."""
        layer = self.layer
        if isinstance(layer, ConvLayer):
            layer = replace(layer, source=INPUT, channels=channels_out)
        elif isinstance(layer, AddLayer):
            layer = AddLayer(layer.name, INPUT, INPUT)
        else:
            layer = PoolLayer(layer.name, INPUT)
        channels = channels_out if self.one_width else channels_in
        return Topology((1, *self.shape, channels), (layer,), self.first)


@dataclass(frozen=True, slots=True)
class Placement:
    """A slot, its presence p, widths v (in) and w (out), and the bytes of tensors alive then."""

    slot: Slot
    presence: Tensor
    widths_in: Tensor
    widths_out: Tensor
    alive_bytes: Tensor


def place(
    slot: Slot, presence: Tensor, entering: Tensor, leaving: Tensor, others: Tensor | float = 0.0
) -> Placement:
    """``others``: expected bytes of tensors alive besides the operator's input and output."""
    probe = slot.topology(slot.inputs[0], slot.outputs[0])
    pixels_out = probe.shapes()[slot.layer.name]
    mean_out = mean_width(leaving, slot.outputs)
    if slot.first:
        read = torch.zeros(())  # the network's input belongs to the caller
    elif not slot.one_width:
        read = slot.shape[0] * slot.shape[1] * mean_width(entering, slot.inputs)
    else:
        read = len(slot.layer.sources) * slot.shape[0] * slot.shape[1] * mean_out
    alive = read + pixels_out[1] * pixels_out[2] * mean_out + others
    return Placement(slot, presence, entering, leaving, alive)


def mean_width(weights: Tensor, widths: tuple[int, ...]) -> Tensor:
    return weights @ torch.tensor(widths, dtype=weights.dtype)
