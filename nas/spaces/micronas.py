# SPDX-License-Identifier: Apache-2.0
"""Time series of any length T and any number of sensors S: the cells of MicroNAS.

King et al., "MicroNAS", arXiv 2310.18384 and Scientific Reports 2025. Input (1, T, S, 1).

    time-reduce x n_t   one of conv (3,1) (5,1) (7,1), stride (2,1)                channels 4..16
    sensor-fusion x n   b = conv (1,S), the first of a stage with stride (1,2)     channels 8..32
                        r = conv (1,1) of the cell's input, or nothing
                        y = conv (k1,1)(b) [+ conv (k2,1)(b)] [+ r]                channels 8..32
                        the others of a stage can be left out
    head                conv (1,1) to the classes, mean over time and sensors

n_t halvings keep T at 16 or more, the sensor stages keep S at 5 or more; both are at least 1, and
each sensor stage has two more cells after its reducing one. Every convolution is followed by ReLU
(batch norm is folded), the head's is not.

Restrictions against the paper, to have few distinct operators to measure: at most two parallel
convolutions and at least one; they share one channel count with the residual (the paper pads sums
of different widths with zeros); fusion widths 8, 16, 24, 32 instead of 8 to 64; the kernel (1,S) is
cut to the width of the map it runs on.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinytailor.nas.layers.addition import Addition
from tinytailor.nas.layers.convolution import Convolution
from tinytailor.nas.layers.mean_pool import MeanPool
from tinytailor.nas.spaces.base import Space, SpaceKind
from tinytailor.nas.spaces.cells import Cell, Item, Join, Part, halvings
from tinytailor.nas.spaces.decisions import Decision
from tinytailor.targets.errors import InputError

Widths = tuple[int, ...]
KERNELS: Widths = (3, 5, 7)
BRANCHES: tuple[Widths, ...] = ((3,), (5,), (7,), (3, 5), (3, 7), (5, 7))
LEAST_TIME = 16
LEAST_SENSORS = 5


def micronas_space(
    time: int,
    sensors: int,
    classes: int,
    *,
    time_channels: Widths = (4, 8, 12, 16),
    fusion_channels: Widths = (8, 16, 24, 32),
    kernels: Widths = KERNELS,
    branches: tuple[Widths, ...] = BRANCHES,
    cells_per_stage: int = 3,
) -> Space:
    """The space for series of ``time`` steps of ``sensors`` values in ``classes`` classes."""
    if time < 2 or sensors < 1 or classes < 2:
        raise InputError(
            f"space micronas needs at least 2 samples, 1 sensor and 2 classes, got "
            f"{time} x {sensors} and {classes} classes"
        )

    def cells() -> Iterator[Cell]:
        for i in range(halvings(time, LEAST_TIME)):
            yield time_cell(f"time{i}", kernels, time_channels)
        width = sensors
        for j in range(halvings(sensors, LEAST_SENSORS) * cells_per_stage):
            reduces = j % cells_per_stage == 0
            # A single sensor cannot be halved.
            stride = (1, 2) if reduces and width > 1 else (1, 1)
            yield fusion_cell(f"fusion{j}", width, stride, not reduces, branches, fusion_channels)
            width = -(-width // stride[1])
        yield head_cell(classes)

    spec = f"micronas:{time}x{sensors}x{classes}"
    return Space("micronas", (time, sensors, 1), classes, spec, tuple(cells()))


def time_cell(name: str, kernels: Widths, widths: Widths) -> Cell:
    kernel, channels = Decision(f"{name}.kernel", kernels), Decision(f"{name}.channels", widths)
    items = tuple(
        Part(name, Convolution((k, 1), (2, 1)), width=channels, when=(kernel.among(k),))
        for k in kernels
    )
    return Cell(name, (kernel, channels), items)


def fusion_cell(
    name: str,
    sensors: int,
    stride: tuple[int, int],
    optional: bool,
    branches: tuple[Widths, ...],
    widths: Widths,
) -> Cell:
    """Over a map of ``sensors`` columns; ``optional``: it may be left out."""
    keep = Decision(f"{name}.keep", (0, 1))
    narrow = Decision(f"{name}.bottleneck", widths)
    parallel = Decision(f"{name}.branches", branches)
    residual = Decision(f"{name}.residual", (0, 1))
    channels = Decision(f"{name}.channels", widths)
    bottleneck, beside = f"{name}.bottleneck", f"{name}.residual"
    items: list[Item] = [
        Part(bottleneck, Convolution((1, sensors), stride), width=narrow),
        # The residual comes before the branches: the cell's input, often the larger, is free then.
        Part(beside, Convolution((1, 1), stride), width=channels, when=(residual.among(1),)),
    ]
    terms = []
    for k in sorted({k for kernels in branches for k in kernels}):
        branch = f"{name}.branch{k}"
        taken = parallel.among(*(kernels for kernels in branches if k in kernels))
        items.append(Part(branch, Convolution((k, 1)), (bottleneck,), channels, (taken,)))
        terms.append((branch, f"{name}.sum"))
    items.append(Join(name, Addition(), (*terms, (beside, f"{name}.add"))))
    decisions = (narrow, parallel, residual, channels)
    if not optional:
        return Cell(name, decisions, tuple(items))
    return Cell(name, (keep, *decisions), tuple(items), keep)


def head_cell(classes: int) -> Cell:
    linear = Convolution((1, 1), relu=False, norm=False)
    return Cell(
        "head", (), (Part("head", linear, width=classes), Part("pool", MeanPool(), ("head",)))
    )


def tiny() -> Space:
    return micronas_space(
        20,
        3,
        2,
        time_channels=(4, 8),
        fusion_channels=(8, 16),
        kernels=(3, 5),
        branches=((3,), (3, 5)),
        cells_per_stage=2,
    )


MICRONAS = SpaceKind(("STEPS", "CHANNELS", "CLASSES"), (100, 6, 4), micronas_space, tiny)
