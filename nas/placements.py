# SPDX-License-Identifier: Apache-2.0
"""Which operators a distribution over the time-series space may need, how likely and how wide.

A slot is an operator that some network of the space has. Under probabilities for every decision it
exists with probability p, reads i channels with probability v_i and writes o with probability w_o.
v is chained from cell to cell, through a cell that may be left out as keep * own + (1 - keep) * v.
What enters a cell is independent of the cell's own decisions, so products of these are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from tinytailor.nas.topology import INPUT, AddLayer, ConvLayer, Layer, PoolLayer, Topology

if TYPE_CHECKING:
    from tinytailor.nas.spaces.timeseries import TimeSeriesSpace

Probabilities = Mapping[str, Tensor]
FIXED = (1,)  # the widths of a side whose number of channels is given or does not matter


@dataclass(frozen=True, slots=True)
class Slot:
    """``layer`` at its widest over maps of (time, sensors), and the channels it can read and write."""

    layer: Layer
    shape: tuple[int, int]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def topology(self, channels_in: int, channels_out: int) -> Topology:
        """The operator alone at these widths."""
        layer = self.layer
        if isinstance(layer, ConvLayer):
            layer = ConvLayer(layer.name, INPUT, channels_out, layer.kernel, layer.stride, layer.relu)
        elif isinstance(layer, AddLayer):
            layer, channels_in = AddLayer(layer.name, INPUT, INPUT), channels_out
        else:
            layer, channels_in = PoolLayer(layer.name, INPUT), channels_out
        return Topology((1, *self.shape, channels_in), (layer,))


@dataclass(frozen=True, slots=True)
class Placement:
    """A slot with its presence p, widths v (in) and w (out), and the bytes of tensors alive then."""

    slot: Slot
    presence: Tensor
    widths_in: Tensor
    widths_out: Tensor
    alive_bytes: Tensor


def make_slots(space: TimeSeriesSpace) -> dict[str, Slot]:
    """All slots by layer name, in execution order."""
    slots: list[Slot] = []
    for index, stage in enumerate(space.stages):
        shape = space.stage_shapes[index]
        if stage.name.startswith("time"):
            for kernel in cast(tuple[int, ...], stage.decisions[0].options):
                name, widths = f"{stage.name}.k{kernel}", space.time_channels
                layer = ConvLayer(name, INPUT, widths[-1], (kernel, 1), (2, 1))
                slots.append(Slot(layer, shape, stage.in_channels, widths))
        elif stage.name.startswith("fusion"):
            slots.extend(_fusion_slots(space, index))
    classes = (space.classes,)
    slots.append(
        Slot(
            ConvLayer("head", INPUT, space.classes, (1, 1), relu=False),
            shape,
            space.stages[-1].in_channels,
            classes,
        )
    )
    slots.append(Slot(PoolLayer("pool", INPUT), shape, FIXED, classes))
    return {slot.layer.name: slot for slot in slots}


def _fusion_slots(space: TimeSeriesSpace, index: int) -> list[Slot]:
    stage, shape = space.stages[index], space.stage_shapes[index]
    name, inner, stride = stage.name, space.stage_shapes[index + 1], space.fusion_stride(index)
    widths, entering = space.fusion_channels, stage.in_channels
    most = widths[-1]
    bottleneck = ConvLayer(f"{name}.bottleneck", INPUT, most, (1, shape[1]), stride)
    residual = ConvLayer(f"{name}.residual", INPUT, most, (1, 1), stride)
    slots = [Slot(bottleneck, shape, entering, widths), Slot(residual, shape, entering, widths)]
    for kernel in space.kernels:
        branch = ConvLayer(f"{name}.branch{kernel}", INPUT, most, (kernel, 1))
        slots.append(Slot(branch, inner, widths, widths))
    for join in ("sum", "add"):
        slots.append(Slot(AddLayer(f"{name}.{join}", INPUT, INPUT), inner, FIXED, widths))
    return slots


def placements(
    space: TimeSeriesSpace, slots: Mapping[str, Slot], p: Probabilities
) -> list[Placement]:
    """Every slot under probabilities ``p`` of all decisions."""
    one = torch.ones(1)
    placed: list[Placement] = []
    entering = one
    for index, stage in enumerate(space.stages[:-1]):
        if stage.name.startswith("time"):
            own = p[f"{stage.name}.channels"]
            options = cast(tuple[int, ...], stage.decisions[0].options)
            for weight, kernel in zip(p[f"{stage.name}.kernel"], options, strict=True):
                slot = slots[f"{stage.name}.k{kernel}"]
                placed.append(_place(slot, weight, entering, own))
            entering = own
        else:
            cell, entering = _place_fusion(space, index, slots, entering, p)
            placed.extend(cell)
    placed.append(_place(slots["head"], one[0], entering, one))
    placed.append(_place(slots["pool"], one[0], one, one))
    return placed


def _place(
    slot: Slot, presence: Tensor, entering: Tensor, leaving: Tensor, others: Tensor | float = 0.0
) -> Placement:
    """``others``: expected bytes of tensors alive besides the operator's input and output."""
    probe = slot.topology(slot.inputs[0], slot.outputs[0])
    pixels_out = probe.shapes()[slot.layer.name]
    mean_out = _mean(leaving, slot.outputs)
    if slot.inputs == FIXED and isinstance(slot.layer, ConvLayer):
        read = torch.zeros(())  # the network's input belongs to the caller
    elif isinstance(slot.layer, ConvLayer):
        read = slot.shape[0] * slot.shape[1] * _mean(entering, slot.inputs)
    else:
        read = len(slot.layer.sources) * slot.shape[0] * slot.shape[1] * mean_out
    alive = read + pixels_out[1] * pixels_out[2] * mean_out + others
    return Placement(slot, presence, entering, leaving, alive)


def _mean(weights: Tensor, widths: tuple[int, ...]) -> Tensor:
    return weights @ torch.tensor(widths, dtype=weights.dtype)


def _place_fusion(
    space: TimeSeriesSpace,
    index: int,
    slots: Mapping[str, Slot],
    entering: Tensor,
    p: Probabilities,
) -> tuple[list[Placement], Tensor]:
    """The slots of a cell and the distribution of channels that leaves it."""
    name, widths = space.stages[index].name, space.fusion_channels
    narrow, own = p[f"{name}.bottleneck"], p[f"{name}.channels"]
    keep = p[f"{name}.keep"][1] if f"{name}.keep" in p else torch.ones(())
    residual = p[f"{name}.residual"][1]
    inner = space.stage_shapes[index + 1]
    pixels = inner[0] * inner[1]
    narrow_bytes, own_bytes = pixels * _mean(narrow, widths), pixels * _mean(own, widths)
    waiting = residual * own_bytes
    placed = [
        _place(slots[f"{name}.bottleneck"], keep, entering, narrow),
        _place(slots[f"{name}.residual"], keep * residual, entering, own, narrow_bytes),
    ]
    pair = torch.stack(
        [w for w, kernels in zip(p[f"{name}.branches"], space.branches, strict=True) if len(kernels) > 1]
    ).sum()
    for kernel, presence in branch_presence(space, name, p).items():
        # The second of two parallel convolutions runs while the first one's output waits.
        others = waiting + (own_bytes * pair if kernel != space.kernels[0] else 0.0)
        slot = slots[f"{name}.branch{kernel}"]
        placed.append(_place(slot, keep * presence, narrow, own, others))
    one = torch.ones(1)
    placed.append(_place(slots[f"{name}.sum"], keep * pair, one, own, waiting))
    placed.append(_place(slots[f"{name}.add"], keep * residual, one, own))
    return placed, own if f"{name}.keep" not in p else keep * own + (1 - keep) * entering


def branch_presence(space: TimeSeriesSpace, name: str, p: Probabilities) -> dict[int, Tensor]:
    """Probability of each parallel convolution of cell ``name``, by kernel."""
    weights = p[f"{name}.branches"]
    return {
        kernel: torch.stack(
            [w for w, kernels in zip(weights, space.branches, strict=True) if kernel in kernels]
        ).sum()
        for kernel in space.kernels
    }
