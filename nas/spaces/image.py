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
               squeeze and excite behind the depthwise one, or not

Every convolution but the last has batch norm, folded when it is exported. A block that expands and
one that does not share no weights.

Restrictions against the papers, to have few distinct operators to measure and exact expected costs:
h is chosen among a few widths, not as a multiple of the channels that enter, so what enters a block
and what it expands to are independent; a stage has one channel count, set by its first layer;
resolution and the width of the whole network are no decisions; no kernel of 7.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import not_

from tinytailor.nas.layers.addition import Addition
from tinytailor.nas.layers.convolution import Convolution
from tinytailor.nas.layers.depthwise_convolution import DepthwiseConvolution
from tinytailor.nas.layers.mean_pool import MeanPool
from tinytailor.nas.layers.squeeze_excite import SqueezeExcite
from tinytailor.nas.network.topology import INPUT
from tinytailor.nas.spaces.base import Space, SpaceKind
from tinytailor.nas.spaces.cells import Cell, Item, Join, Part, Width, halvings, optional
from tinytailor.nas.spaces.decisions import Decision
from tinytailor.targets.errors import InputError

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


def image_space(
    height: int,
    width: int,
    channels: int,
    classes: int,
    *,
    stage_channels: tuple[Widths, ...] = CHANNELS,
    stage_hidden: tuple[Widths, ...] = HIDDEN,
    head_channels: Widths = (64, 128),
    kernels: Widths = (3, 5),
    repeats: int = 2,
) -> Space:
    """The space for images of ``height`` x ``width`` x ``channels`` in ``classes`` classes."""
    if min(height, width) < LEAST_INPUT or channels < 1 or classes < 2:
        raise InputError(
            f"space image needs at least {LEAST_INPUT} x {LEAST_INPUT} pixels, 1 channel and "
            f"2 classes, got {height} x {width} x {channels} and {classes} classes"
        )

    def cells() -> Iterator[Cell]:
        for i in range(halvings(min(height, width), LEAST_SIDE)):
            own = stage_channels[min(i, len(stage_channels) - 1)]
            hidden = stage_hidden[min(i, len(stage_hidden) - 1)]
            yield (
                stem_cell(own) if i == 0 else reduce_cell(f"stage{i}.reduce", hidden, kernels, own)
            )
            for j in range(1, repeats + 1):
                yield repeat_cell(f"stage{i}.repeat{j}", hidden, kernels)
        yield head_cell(head_channels, classes)

    spec = f"image:{height}x{width}x{channels}x{classes}"
    return Space("image", (height, width, channels), classes, spec, tuple(cells()))


def stem_cell(widths: Widths) -> Cell:
    channels = Decision("stem.channels", widths)
    return Cell("stem", (channels,), (Part("stem", Convolution((3, 3), (2, 2)), width=channels),))


def reduce_cell(name: str, hidden: Widths, kernels: Widths, widths: Widths) -> Cell:
    channels = Decision(f"{name}.channels", widths)
    decisions, items = block(name, hidden, kernels, channels, stride=2)
    return Cell(name, (*decisions, channels), items)


def repeat_cell(name: str, hidden: Widths, kernels: Widths) -> Cell:
    keep = Decision(f"{name}.keep", (0, 1))
    decisions, items = block(name, hidden, kernels, INPUT, stride=1)
    join = Join(name, Addition(), ((items[-1].tensor, ""), (INPUT, f"{name}.add")))
    return Cell(name, (keep, *decisions), (*items, join), keep)


def block(
    name: str, hidden: Widths, kernels: Widths, width: Width, stride: int
) -> tuple[tuple[Decision, ...], tuple[Item, ...]]:
    """The decisions and items of a block that writes ``width`` channels."""
    expanded, kernel = Decision(f"{name}.hidden", hidden), Decision(f"{name}.kernel", kernels)
    attention = Decision(f"{name}.attention", (0, 1))
    wide, thin = expanded.where(bool), expanded.where(not_)
    pointwise, linear = Convolution((1, 1)), Convolution((1, 1), relu=False)
    items: list[Item] = [Part(f"{name}.expand", pointwise, width=expanded, when=(wide,))]
    for path, source, when in (("wide", f"{name}.expand", wide), ("thin", INPUT, thin)):
        filtered = f"{name}.{path}"
        for k in kernels:
            kind = DepthwiseConvolution((k, k), (stride, stride))
            chosen = (when, kernel.among(k))
            items.append(Part(f"{name}.depthwise", kind, (source,), when=chosen, writes=filtered))
        gated = f"{filtered}.gated"
        gate = Part(f"{name}.gate", SqueezeExcite(), (filtered,), None, (when,), gated)
        items.extend(optional(gate, attention))
        items.append(Part(f"{name}.project", linear, (gated,), width, (when,), f"{name}.projected"))
    return (expanded, kernel, attention), tuple(items)


def head_cell(widths: Widths, classes: int) -> Cell:
    channels = Decision("head.channels", widths)
    items = (
        Part("head", Convolution((1, 1)), width=channels),
        Part("pool", MeanPool(), ("head",)),
        Part("classify", Convolution((1, 1), relu=False, norm=False), ("pool",), classes),
    )
    return Cell("head", (channels,), items)


def tiny() -> Space:
    return image_space(
        16,
        16,
        2,
        3,
        stage_channels=((8, 16), (16, 24)),
        stage_hidden=((0, 24), (0, 32)),
        head_channels=(8, 16),
        kernels=(3,),
        repeats=1,
    )


IMAGE = SpaceKind(("HEIGHT", "WIDTH", "CHANNELS", "CLASSES"), (32, 32, 3, 10), image_space, tiny)
