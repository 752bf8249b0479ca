# SPDX-License-Identifier: Apache-2.0
"""Images (H, W, C): a chain of inverted residual blocks, as MobileNetV2 and MCUNet have it.

Sandler et al., arXiv 1801.04381; Lin et al., arXiv 2007.10319. Input (1, H, W, C).

    stem       conv 3x3, stride 2                                                  channels 8..24
    repeat x2  x + block(x), or left out
    then for every further halving that leaves 4 pixels or more along both sides
    reduce     block(x), its depthwise convolution with stride 2                   channels by stage
    repeat x2  x + block(x), or left out
    head       conv 1x1 to 64 or 128 channels, mean over the map, conv 1x1 to the classes

    block      conv 1x1 to h channels, ReLU; depthwise k x k, ReLU; conv 1x1, linear;   k 3 or 5
               with h = 0 the first is left out: a depthwise separable convolution

Every convolution but the last has batch norm, folded when it is exported.

Restrictions against the papers, to have few distinct operators to measure (186 for 32x32x3x10) and
exact expected costs: h is chosen among a few widths, not as a multiple of the channels that enter,
so what enters a block and what it expands to are independent; a stage has one channel count, set by
its first layer; resolution and the width of the whole network are no decisions; no kernel of 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

from tinytailor.nas.network.topology import AddLayer, ConvLayer, Layer, PoolLayer
from tinytailor.nas.spaces.base import Chain, Decision, InputShape, Option, SpaceKind, Stage
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    import torch

    from tinytailor.nas.spaces.image_supernet import ImageSupernet

Widths = tuple[int, ...]
# By stage; the last entry serves all further ones.
CHANNELS: tuple[Widths, ...] = ((8, 16, 24), (16, 32, 48), (24, 48, 96), (48, 96, 144))
HIDDEN: tuple[Widths, ...] = (
    (0, 32, 64),
    (0, 48, 96, 192),
    (0, 96, 192, 288),
    (0, 192, 288, 384),
)
LEAST_SIDE = 4
LEAST_INPUT = 4


@dataclass(frozen=True)
class ImageSpace(Chain):
    """The space for images of ``height`` x ``width`` x ``channels`` in ``classes`` classes."""

    height: int
    width: int
    channels: int
    classes: int
    stage_channels: tuple[Widths, ...] = CHANNELS
    stage_hidden: tuple[Widths, ...] = HIDDEN
    head_channels: Widths = (64, 128)
    kernels: Widths = (3, 5)
    repeats: int = 2
    name: str = "image"

    def __post_init__(self) -> None:
        if min(self.height, self.width) < LEAST_INPUT or self.channels < 1 or self.classes < 2:
            raise InputError(
                f"space image needs at least {LEAST_INPUT} x {LEAST_INPUT} pixels, 1 channel and "
                f"2 classes, got {self.height} x {self.width} x {self.channels} and "
                f"{self.classes} classes"
            )

    @property
    def input_shape(self) -> InputShape:
        return (self.height, self.width, self.channels)

    @property
    def spec(self) -> str:
        return f"{self.name}:{self.height}x{self.width}x{self.channels}x{self.classes}"

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        stages: list[Stage] = []
        widths: Widths = (self.channels,)
        for i in range(self._halvings):
            first = "stem" if i == 0 else f"stage{i}.reduce"
            stages.append(Stage(first, self._first_decisions(first, i), widths))
            widths = self.widths(i)
            for j in range(1, self.repeats + 1):
                name = f"stage{i}.repeat{j}"
                keep = Decision(f"{name}.keep", (0, 1))
                stages.append(Stage(name, (keep, *self._block_decisions(name, i)), widths))
        head = Decision("head.channels", self.head_channels)
        return (*stages, Stage("head", (head,), widths))

    @property
    def _halvings(self) -> int:
        side, count = -(-min(self.height, self.width) // 2), 1
        while -(-side // 2) >= LEAST_SIDE:
            side, count = -(-side // 2), count + 1
        return count

    def _first_decisions(self, name: str, i: int) -> tuple[Decision, ...]:
        channels = Decision(f"{name}.channels", self.widths(i))
        return (channels,) if i == 0 else (*self._block_decisions(name, i), channels)

    def _block_decisions(self, name: str, i: int) -> tuple[Decision, ...]:
        return (
            Decision(f"{name}.hidden", self.stage_hidden[min(i, len(self.stage_hidden) - 1)]),
            Decision(f"{name}.kernel", self.kernels),
        )

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(decision for stage in self.stages for decision in stage.decisions)

    def widths(self, i: int) -> Widths:
        """The channels that stage ``i`` may have."""
        return self.stage_channels[min(i, len(self.stage_channels) - 1)]

    @cached_property
    def stage_shapes(self) -> tuple[tuple[int, int], ...]:
        shape, shapes = (self.height, self.width), []
        for stage in self.stages:
            shapes.append(shape)
            if reduces(stage.name):
                shape = (-(-shape[0] // 2), -(-shape[1] // 2))
        return tuple(shapes)

    def stage_layers(
        self, index: int, in_channels: int, choice: Mapping[str, Option], source: str
    ) -> tuple[tuple[Layer, ...], int]:
        name = self.stages[index].name
        channels = cast(int, choice.get(f"{name}.channels", in_channels))
        if name == "stem":
            return (ConvLayer(name, source, channels, (3, 3), (2, 2)),), channels
        if name == "head":
            return self._head_layers(source, channels), self.classes
        if not choice.get(f"{name}.keep", 1):
            return (), in_channels
        hidden, kernel = (cast(int, choice[f"{name}.{part}"]) for part in ("hidden", "kernel"))
        stride = 2 if reduces(name) else 1
        layers = block_layers(name, source, (in_channels, hidden, channels), kernel, stride)
        if stride == 1:
            layers = (*layers, AddLayer(f"{name}.add", layers[-1].name, source))
        return layers, channels

    def _head_layers(self, source: str, channels: int) -> tuple[Layer, ...]:
        return (
            ConvLayer("head", source, channels, (1, 1)),
            PoolLayer("pool", "head"),
            ConvLayer("classify", "pool", self.classes, (1, 1), relu=False, norm=False),
        )

    def supernet(self, generator: torch.Generator) -> ImageSupernet:
        from tinytailor.nas.spaces.image_supernet import ImageSupernet

        return ImageSupernet(self, generator)


IMAGE = SpaceKind(("HEIGHT", "WIDTH", "CHANNELS", "CLASSES"), (32, 32, 3, 10), ImageSpace)


def reduces(stage: str) -> bool:
    """Whether the stage of this name halves the map."""
    return stage == "stem" or stage.endswith(".reduce")


def block_layers(
    name: str, source: str, widths: tuple[int, int, int], kernel: int, stride: int
) -> tuple[Layer, ...]:
    """The block reading ``source``; ``widths``: what enters, hidden (0: none) and leaves."""
    entering, hidden, leaving = widths
    layers = []
    if hidden:
        layers.append(ConvLayer(f"{name}.expand", source, hidden, (1, 1)))
        source = layers[-1].name
    filters = hidden or entering
    depthwise = ConvLayer(
        f"{name}.depthwise", source, filters, (kernel, kernel), (stride, stride), depthwise=True
    )
    project = ConvLayer(f"{name}.project", depthwise.name, leaving, (1, 1), relu=False)
    return (*layers, depthwise, project)
