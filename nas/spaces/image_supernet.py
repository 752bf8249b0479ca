# SPDX-License-Identifier: Apache-2.0
"""The supernet of the image space, and which operators a distribution over it may need.

A block has two paths, weighted by the probabilities of its hidden width h (0 is the first option):

    expanding   (1 - h_0) * project(mask(h | h > 0) * sum_k p_k depthwise_k(expand(mask(v) * x)))
    separable         h_0 * project0(mask(v) * sum_k p_k depthwise0_k(x))

Maps are made at full width and cut where channels are summed over: behind a depthwise convolution,
not before it, for its batch norm makes something of channels of zeros. A repeated block hands on
the channels it reads, x + keep * block(x), so only the first layer of a stage changes their
distribution v, and v is independent of all decisions after it: the products of probabilities are
exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tinytailor.nas.network.topology import INPUT, AddLayer, ConvLayer, PoolLayer
from tinytailor.nas.spaces.image import ImageSpace, Widths, reduces
from tinytailor.nas.supernet.placements import FIXED, Placement, Slot, mean_width, place
from tinytailor.nas.supernet.supernet import Probabilities, Supernet, mask


@dataclass(frozen=True, slots=True)
class Block:
    """A block at all its widths: maps of ``shape``, ``inner`` behind the depthwise convolution."""

    name: str
    shape: tuple[int, int]
    inner: tuple[int, int]
    entering: Widths
    hidden: Widths  # without the 0
    leaving: Widths
    kernels: Widths

    @property
    def repeated(self) -> bool:
        return not reduces(self.name)


def make_blocks(space: ImageSpace) -> dict[str, Block]:
    """All blocks by the name of their stage, in execution order."""
    blocks = {}
    for index, stage in enumerate(space.stages):
        if "." not in stage.name:
            continue
        hidden = next(d.options for d in stage.decisions if d.name.endswith(".hidden"))
        blocks[stage.name] = Block(
            stage.name,
            space.stage_shapes[index],
            space.stage_shapes[index + 1],
            stage.in_channels,
            tuple(h for h in hidden if isinstance(h, int) and h),
            space.stages[index + 1].in_channels,
            space.kernels,
        )
    return blocks


class ImageSupernet(Supernet):
    """See the module's text."""

    def __init__(self, space: ImageSpace, generator: torch.Generator) -> None:
        super().__init__(space, make_slots(space), generator)
        self.images, self.image_blocks = space, make_blocks(space)

    def placements(self, probabilities: Probabilities) -> list[Placement]:
        return placements(self.images, self.slots, probabilities)

    def forward(self, x: Tensor, probabilities: Probabilities) -> Tensor:
        p = probabilities
        cut = mask(p["stem.channels"], self.images.widths(0))
        x = self.conv("stem", x)
        for block in self.image_blocks.values():
            y = self._block(block, x, cut, p)
            if block.repeated:
                x = x + p[f"{block.name}.keep"][1] * y
            else:
                x, cut = y, mask(p[f"{block.name}.channels"], block.leaving)
        x = self.conv("head", x * cut) * mask(p["head.channels"], self.images.head_channels)
        return self.conv("classify", x.mean(dim=(2, 3), keepdim=True)).flatten(1)

    def _block(self, block: Block, x: Tensor, cut: Tensor, p: Probabilities) -> Tensor:
        hidden, kernels = p[f"{block.name}.hidden"], p[f"{block.name}.kernel"]
        within = hidden[1:] / hidden[1:].sum().clamp(min=1e-9)
        wide = self.conv(f"{block.name}.expand", x * cut)
        inner = mask(within, block.hidden)
        paths = (("", wide, inner, hidden[1:].sum()), ("0", x, cut, hidden[0]))
        terms = []
        for path, source, among, weight in paths:
            filtered = [
                w * self.conv(f"{block.name}.depthwise{path}.k{k}", source)
                for w, k in zip(kernels, block.kernels, strict=True)
            ]
            total = torch.stack(filtered).sum(dim=0) * among
            terms.append(weight * self.conv(f"{block.name}.project{path}", total))
        return terms[0] + terms[1]


def make_slots(space: ImageSpace) -> dict[str, Slot]:
    """All slots by layer name, in execution order."""
    last = space.stages[-1].in_channels
    stem = ConvLayer("stem", INPUT, space.widths(0)[-1], (3, 3), (2, 2))
    slots = [Slot(stem, space.stage_shapes[0], (space.channels,), space.widths(0), True)]
    for block in make_blocks(space).values():
        slots.extend(_block_slots(block))
    shape, wide, classes = space.stage_shapes[-1], space.head_channels, space.classes
    classify = ConvLayer("classify", INPUT, classes, (1, 1), relu=False, norm=False)
    slots.append(Slot(ConvLayer("head", INPUT, wide[-1], (1, 1)), shape, last, wide))
    slots.append(Slot(PoolLayer("pool", INPUT), shape, FIXED, wide))
    slots.append(Slot(classify, (1, 1), wide, (classes,)))
    return {slot.layer.name: slot for slot in slots}


def _block_slots(block: Block) -> Iterator[Slot]:
    name, most = block.name, block.leaving[-1]
    stride = (1, 1) if block.repeated else (2, 2)
    expand = ConvLayer(f"{name}.expand", INPUT, block.hidden[-1], (1, 1))
    yield Slot(expand, block.shape, block.entering, block.hidden)
    for path, widths in (("", block.hidden), ("0", block.entering)):
        for k in block.kernels:
            depthwise = ConvLayer(
                f"{name}.depthwise{path}.k{k}", INPUT, widths[-1], (k, k), stride, depthwise=True
            )
            yield Slot(depthwise, block.shape, FIXED, widths)
        project = ConvLayer(f"{name}.project{path}", INPUT, most, (1, 1), relu=False)
        if block.repeated and path == "0":  # to the channels that it reads, all the way
            yield Slot(project, block.inner, FIXED, block.leaving, square=True)
        else:
            yield Slot(project, block.inner, widths, block.leaving)
    if block.repeated:
        yield Slot(AddLayer(f"{name}.add", INPUT, INPUT), block.inner, FIXED, block.leaving)


def placements(space: ImageSpace, slots: Mapping[str, Slot], p: Probabilities) -> list[Placement]:
    """Every slot under probabilities ``p`` of all decisions."""
    one = torch.ones(1)
    channels = p["stem.channels"]
    placed = [place(slots["stem"], one[0], one, channels)]
    for block in make_blocks(space).values():
        leaving = channels if block.repeated else p[f"{block.name}.channels"]
        placed.extend(_place_block(block, slots, channels, leaving, p))
        channels = leaving
    head = p["head.channels"]
    placed.append(place(slots["head"], one[0], channels, head))
    placed.append(place(slots["pool"], one[0], one, head))
    placed.append(place(slots["classify"], one[0], head, one))
    return placed


def _place_block(
    block: Block, slots: Mapping[str, Slot], entering: Tensor, leaving: Tensor, p: Probabilities
) -> Iterator[Placement]:
    name, one = block.name, torch.ones(1)
    keep = p[f"{name}.keep"][1] if block.repeated else one[0]
    hidden, kernels = p[f"{name}.hidden"], p[f"{name}.kernel"]
    some = hidden[1:].sum()
    within = hidden[1:] / some.clamp(min=1e-9)
    # A repeated block's input waits for the addition; where a layer reads it, it counts already.
    waiting = block.shape[0] * block.shape[1] * mean_width(entering, block.entering)
    waiting = waiting if block.repeated else torch.zeros(())
    yield place(slots[f"{name}.expand"], keep * some, entering, within)
    for path, presence, widths in (("", some, within), ("0", hidden[0], entering)):
        others = waiting if path == "" else 0.0
        for weight, k in zip(kernels, block.kernels, strict=True):
            slot = slots[f"{name}.depthwise{path}.k{k}"]
            yield place(slot, keep * presence * weight, one, widths, others)
        project = slots[f"{name}.project{path}"]
        yield place(project, keep * presence, one if project.square else widths, leaving, waiting)
    if block.repeated:
        yield place(slots[f"{name}.add"], keep, one, leaving)
