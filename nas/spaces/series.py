# SPDX-License-Identifier: Apache-2.0
"""Series of T steps of S values: one-dimensional networks whose sensors are channels.

Input (1, T, 1, S). A full convolution over time and all channels costs a Cortex-M33 1.9 cycles a
product, where the maps of time and sensors of MicroNAS cost it 2.75.

    input       int16 samples to int8: companded where they are heavy-tailed, or not; all sensors
                or all but one; all samples or every second one
    stem        to a quarter of the steps: conv k at stride 4, or two of stride 2, or one of stride
                2 behind every second sample; to a half where T is short
    repeat      ReLU(x + f(x)), or left out
    then for every further halving that leaves LEAST_TIME steps or more, the last one of several
    optional and in the head
    reduce      conv k at stride 2, or a depthwise one and a pointwise one        channels by stage
    repeat x3   ReLU(x + f(x)), or left out
    head        mean over time, maximum over time, or both; each with its linear layer, added

    f           conv 3, conv 5, dilated conv 3, conv 3 in groups of 8, or depthwise 5 and pointwise;
                squeeze and excite behind it, or not

Every convolution has batch norm, folded when it is exported, and ReLU, but the last one of f; the
linear layers have neither.
Residual: He et al., arXiv 1512.03385; separable: Howard et al., arXiv 1704.04861; groups:
Radosavovic et al., arXiv 2003.13678; dilation: Bai et al., arXiv 1803.01271. A linear layer for
each pooling and their sum is the same function as one behind their concatenation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from tinytailor.nas.layers import Kind
from tinytailor.nas.layers.addition import Addition
from tinytailor.nas.layers.convolution import Convolution
from tinytailor.nas.layers.depthwise_convolution import DepthwiseConvolution
from tinytailor.nas.layers.grouped_convolution import GroupedConvolution
from tinytailor.nas.layers.maximum_pool import MaximumPool
from tinytailor.nas.layers.mean_pool import MeanPool
from tinytailor.nas.layers.sensing import Sensing
from tinytailor.nas.layers.squeeze_excite import SqueezeExcite
from tinytailor.nas.network.topology import INPUT
from tinytailor.nas.spaces.base import Space, SpaceKind
from tinytailor.nas.spaces.cells import Cell, Item, Join, Part, halvings, optional
from tinytailor.nas.spaces.decisions import Decision, When
from tinytailor.targets.errors import InputError

T = TypeVar("T")
Widths = tuple[int, ...]
LEAST_TIME = 8
STEM: Widths = (8, 16, 24, 32)
# By stage; the last entry serves all further ones.
CHANNELS: tuple[Widths, ...] = ((16, 24, 32, 48, 64),)
KERNELS: Widths = (3, 5)
STEM_KERNELS: Widths = (5, 9)
REPEATS: Widths = (1, 3)
GROUP = 8
MOST_PARTS = 4
SEPARABLE = 0
EVERY_SECOND, ONE, TWO = 0, 1, 2  # sample and one convolution, all and one, all and two
MEAN, MAXIMUM, BOTH = 0, 1, 2

# The forms of f, by the number that stands for each in a decision: from cheap to dear.
FORMS: dict[int, tuple[Kind, ...]] = {
    1: (DepthwiseConvolution((5, 1)), Convolution((1, 1), relu=False)),
    2: (GroupedConvolution((3, 1), relu=False, size=GROUP),),
    3: (Convolution((3, 1), relu=False),),
    4: (Convolution((3, 1), relu=False, dilation=(2, 1)),),
    5: (Convolution((5, 1), relu=False),),
}


def series_space(
    time: int,
    sensors: int,
    classes: int,
    *,
    parts: tuple[Widths, ...] = (),
    stem_channels: Widths = STEM,
    stage_channels: tuple[Widths, ...] = CHANNELS,
    stem_kernels: Widths = STEM_KERNELS,
    kernels: Widths = KERNELS,
    forms: Widths = tuple(FORMS),
    repeats: Widths = REPEATS,
    attention: Widths = (0, 1),
) -> Space:
    """The space for series of ``time`` steps of ``sensors`` values in ``classes`` classes."""
    if time < 2 or sensors < 1 or classes < 2:
        raise InputError(
            f"space series needs at least 2 samples, 1 sensor and 2 classes, got "
            f"{time} x {sensors} and {classes} classes"
        )
    halved = halvings(time, LEAST_TIME)
    quarter = halved > 2

    def cells() -> Iterator[Cell]:
        stem = Decision("stem.channels", stem_channels)
        yield stem_cell(parts or sensor_parts(sensors), stem_kernels, stem, quarter)
        for j in range(1, at(repeats, 0) + 1):
            yield repeat_cell(f"stem.repeat{j}", forms, attention)
        left = halved - (2 if quarter else 1)
        stages = left - 1 if left > 1 else left
        for i in range(1, stages + 1):
            widths = at(stage_channels, i - 1)
            yield reduce_cell(f"stage{i}.reduce", kernels, widths)
            for j in range(1, at(repeats, i) + 1):
                yield repeat_cell(f"stage{i}.repeat{j}", forms, attention)
        deep = at(stage_channels, stages) if left > stages else ()
        yield head_cell(kernels[0], deep, classes)

    spec = f"series:{time}x{sensors}x{classes}"
    return Space("series", (time, 1, sensors), classes, spec, tuple(cells()))


def at(values: Sequence[T], index: int) -> T:
    """The entry of a stage; the last one serves all further ones."""
    return values[min(index, len(values) - 1)]


def sensor_parts(sensors: int) -> tuple[Widths, ...]:
    """All of the sensors, last, and what is left where one is not read: one triad of channels
    where they come in two to four of those, one channel where there are two to four."""
    everything = tuple(range(sensors))
    size = 3 if sensors % 3 == 0 and sensors > 3 else 1
    if not 1 < sensors // size <= MOST_PARTS:
        return (everything,)
    left_out = (range(start, start + size) for start in range(0, sensors, size))
    some = (tuple(c for c in everything if c not in out) for out in left_out)
    return (*some, everything)


def stem_cell(
    parts: tuple[Widths, ...], kernels: Widths, channels: Decision, quarter: bool
) -> Cell:
    """From the samples to a quarter of the steps, or to half of them."""
    companding = Decision("input.companding", (0, 1))
    sensors = Decision("input.sensors", parts)
    kernel = Decision("stem.kernel", kernels)
    form = Decision("stem.form", (EVERY_SECOND, ONE, TWO) if quarter else (ONE,))
    inner = Decision("stem.inner", channels.options)
    items: list[Item] = []
    for number, part in enumerate(parts):
        read = sensors.among(part)
        for step, forms in ((1, (ONE, TWO)), (2, (EVERY_SECOND,))):
            whens = (read, form.among(*forms))
            if not whens[1].options:
                continue
            sensed = f"sensed{number}.{step}"
            for some in (0, 1):
                kind = Sensing(part, step, bool(some))
                when = (*whens, companding.among(some))
                items.append(Part("sense", kind, (INPUT,), len(part), when, sensed))
        items.extend(_stems(number, read, kernels, kernel, form, inner, channels))
    second = Convolution((kernels[0], 1), (2, 1))
    if quarter:
        items.append(Part("stem", second, ("halved",), channels, (form.among(TWO),)))
        return Cell("stem", (companding, sensors, form, kernel, inner, channels), tuple(items))
    return Cell("stem", (companding, sensors, form, kernel, channels), tuple(items))


def _stems(
    number: int,
    read: When,
    kernels: Widths,
    kernel: Decision,
    form: Decision,
    inner: Decision,
    channels: Decision,
) -> Iterator[Part]:
    """The convolutions that read part ``number`` of the sensors, at both rates."""
    whole, half = ((f"sensed{number}.{step}",) for step in (1, 2))
    quarter = TWO in form.options
    for k in kernels:
        when = (read, kernel.among(k))
        strided, halving = Convolution((k, 1), (4, 1)), Convolution((k, 1), (2, 1))
        one = strided if quarter else halving
        yield Part("stem", one, whole, channels, (*when, form.among(ONE)))
        if quarter:
            yield Part("stem", halving, half, channels, (*when, form.among(EVERY_SECOND)))
            two = (*when, form.among(TWO))
            yield Part("stem.first", halving, whole, inner, two, "halved")


def reduce_cell(name: str, kernels: Widths, widths: Widths) -> Cell:
    """To half the steps; kernel 0 is the separable form, with the largest kernel."""
    kernel, channels = Decision(f"{name}.kernel", (SEPARABLE, *kernels)), channels_of(name, widths)
    filtered = DepthwiseConvolution((kernels[-1], 1), (2, 1))
    thin = (kernel.among(SEPARABLE),)
    items: list[Item] = [
        Part(f"{name}.depthwise", filtered, when=thin),
        Part(
            f"{name}.pointwise", Convolution((1, 1)), (f"{name}.depthwise",), channels, thin, name
        ),
    ]
    for k in kernels:
        full = Convolution((k, 1), (2, 1))
        items.append(Part(name, full, (INPUT,), channels, (kernel.among(k),)))
    return Cell(name, (kernel, channels), tuple(items))


def channels_of(name: str, widths: Widths) -> Decision:
    return Decision(f"{name}.channels", widths)


def repeat_cell(name: str, forms: Widths, attention: Widths) -> Cell:
    """ReLU(x + f(x)), or nothing."""
    keep, form = Decision(f"{name}.keep", (0, 1)), Decision(f"{name}.form", forms)
    gate = Decision(f"{name}.attention", attention)
    items: list[Item] = []
    result = f"{name}.f"
    for number in forms:
        source, when = INPUT, (form.among(number),)
        *before, last = FORMS[number]
        for place, kind in enumerate(before):
            inner = f"{name}.{number}.{place}"
            items.append(Part(inner, kind, (source,), None, when))
            source = inner
        items.append(Part(f"{name}.conv", last, (source,), INPUT, when, result))
    joined = f"{name}.gated"
    gated = Part(f"{name}.gate", SqueezeExcite(), (result,), None, (), joined)
    items.extend(optional(gated, gate))
    items.append(Join(name, Addition(relu=True), ((joined, ""), (INPUT, f"{name}.add"))))
    return Cell(name, (keep, form, gate), tuple(items), keep)


def head_cell(kernel: int, deep: Widths, classes: int) -> Cell:
    """The last halving where ``deep`` are its widths, what is pooled, and the classes."""
    pooling = Decision("head.pooling", (MEAN, MAXIMUM, BOTH))
    deeper = Decision("head.deeper", (0, 1) if deep else (0,))
    channels = Decision("head.channels", deep or (1,))
    items: list[Item] = []
    if deep:
        last = Convolution((kernel, 1), (2, 1))
        items.append(Part("head.last", last, (INPUT,), channels, (deeper.among(1),)))
    terms = []
    for path, source, there in (("", INPUT, 0), (".deeper", "head.last", 1)):
        if there and not deep:
            continue
        for pool, kind, chosen in (
            ("mean", MeanPool(), (MEAN, BOTH)),
            ("maximum", MaximumPool(), (MAXIMUM, BOTH)),
        ):
            when: tuple[When, ...] = (pooling.among(*chosen),)
            when = (deeper.among(there), *when) if deep else when
            pooled, linear = f"{pool}{path}", Convolution((1, 1), relu=False, norm=False)
            items.append(Part(pooled, kind, (source,), None, when))
            items.append(Part(f"classify.{pooled}", linear, (pooled,), classes, when))
            terms.append((f"classify.{pooled}", f"logits{path}" if pool == "maximum" else ""))
    decisions = (deeper, pooling, channels) if deep else (pooling,)
    items.append(Join("logits", Addition(), tuple(terms)))
    return Cell("head", decisions, tuple(items))


def tiny() -> Space:
    return series_space(
        32,
        3,
        2,
        parts=((0, 2), (0, 1, 2)),
        stem_channels=(4, 8),
        stage_channels=((8, 16),),
        stem_kernels=(3,),
        kernels=(3,),
        forms=(1, 3),
        repeats=(0, 1),
        attention=(0,),
    )


SERIES = SpaceKind(("STEPS", "CHANNELS", "CLASSES"), (128, 9, 6), series_space, tiny)
