# SPDX-License-Identifier: Apache-2.0
"""The supernet of the time-series space, and which operators a distribution over it may need.

Channels are searched by prefix masks on a full-width convolution, y = conv(x) * sum_i w_i mask_i,
and operators by weighting what they produce (MicroNAS, arXiv 2310.18384). The distribution v of the
channels that enter a cell is chained from cell to cell, through a cell that may be left out as
keep * own + (1 - keep) * v. What enters a cell is independent of the cell's own decisions, so the
products of their probabilities are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from tinytailor.nas.network.topology import INPUT, AddLayer, ConvLayer, PoolLayer
from tinytailor.nas.spaces.timeseries import TimeSeriesSpace
from tinytailor.nas.supernet.placements import FIXED, Placement, Slot, mean_width, place
from tinytailor.nas.supernet.supernet import Probabilities, Supernet, mask


class TimeSeriesSupernet(Supernet):
    """See the module's text."""

    def __init__(self, space: TimeSeriesSpace, generator: torch.Generator) -> None:
        super().__init__(space, make_slots(space), generator)
        self.series = space

    def placements(self, probabilities: Probabilities) -> list[Placement]:
        return placements(self.series, self.slots, probabilities)

    def forward(self, x: Tensor, probabilities: Probabilities) -> Tensor:
        """(N, 1, T, C) to logits (N, classes)."""
        for stage in self.series.stages[:-1]:
            if stage.name.startswith("time"):
                x = self._time(stage.name, x, probabilities)
            else:
                x = self._fusion(stage.name, x, probabilities)
        return self.conv("head", x).mean(dim=(2, 3))

    def _time(self, name: str, x: Tensor, p: Probabilities) -> Tensor:
        kernels = p[f"{name}.kernel"]
        options = self.series.stage(name).decisions[0].options
        total = torch.stack(
            [w * self.conv(f"{name}.k{k}", x) for w, k in zip(kernels, options, strict=True)]
        ).sum(dim=0)
        return total * mask(p[f"{name}.channels"], self.series.time_channels)

    def _fusion(self, name: str, x: Tensor, p: Probabilities) -> Tensor:
        widths = self.series.fusion_channels
        narrow = self.conv(f"{name}.bottleneck", x) * mask(p[f"{name}.bottleneck"], widths)
        total = p[f"{name}.residual"][1] * self.conv(f"{name}.residual", x)
        for kernel, presence in branch_presence(self.series, name, p).items():
            total = total + presence * self.conv(f"{name}.branch{kernel}", narrow)
        total = total * mask(p[f"{name}.channels"], widths)
        keep = p.get(f"{name}.keep")
        return total if keep is None else keep[1] * total + keep[0] * x


def make_slots(space: TimeSeriesSpace) -> dict[str, Slot]:
    """All slots by layer name, in execution order."""
    slots: list[Slot] = []
    for index, stage in enumerate(space.stages):
        shape = space.stage_shapes[index]
        if stage.name.startswith("time"):
            for kernel in cast(tuple[int, ...], stage.decisions[0].options):
                name, widths = f"{stage.name}.k{kernel}", space.time_channels
                layer = ConvLayer(name, INPUT, widths[-1], (kernel, 1), (2, 1))
                slots.append(Slot(layer, shape, stage.in_channels, widths, index == 0))
        elif stage.name.startswith("fusion"):
            slots.extend(_fusion_slots(space, index))
    classes = (space.classes,)
    slots.append(
        Slot(
            ConvLayer("head", INPUT, space.classes, (1, 1), relu=False, norm=False),
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
                placed.append(place(slot, weight, entering, own))
            entering = own
        else:
            cell, entering = _place_fusion(space, index, slots, entering, p)
            placed.extend(cell)
    placed.append(place(slots["head"], one[0], entering, one))
    placed.append(place(slots["pool"], one[0], one, one))
    return placed


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
    narrow_bytes, own_bytes = pixels * mean_width(narrow, widths), pixels * mean_width(own, widths)
    waiting = residual * own_bytes
    placed = [
        place(slots[f"{name}.bottleneck"], keep, entering, narrow),
        place(slots[f"{name}.residual"], keep * residual, entering, own, narrow_bytes),
    ]
    pair = torch.stack(
        [
            w
            for w, kernels in zip(p[f"{name}.branches"], space.branches, strict=True)
            if len(kernels) > 1
        ]
    ).sum()
    for kernel, presence in branch_presence(space, name, p).items():
        # The second of two parallel convolutions runs while the first one's output waits.
        others = waiting + (own_bytes * pair if kernel != space.kernels[0] else 0.0)
        slot = slots[f"{name}.branch{kernel}"]
        placed.append(place(slot, keep * presence, narrow, own, others))
    one = torch.ones(1)
    placed.append(place(slots[f"{name}.sum"], keep * pair, one, own, waiting))
    placed.append(place(slots[f"{name}.add"], keep * residual, one, own))
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
