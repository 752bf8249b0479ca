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

Restrictions against the paper, to have few distinct operators to measure (181 for 100 x 6 x 4):
at most two parallel convolutions and at least one; they share one channel count with the residual
(the paper pads sums of different widths with zeros); fusion widths 8, 16, 24, 32 instead of 8 to
64; the kernel (1,S) is cut to the width of the map it runs on.
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

    from tinytailor.nas.spaces.timeseries_supernet import TimeSeriesSupernet

KERNELS: tuple[int, ...] = (3, 5, 7)
BRANCHES: tuple[tuple[int, ...], ...] = ((3,), (5,), (7,), (3, 5), (3, 7), (5, 7))
LEAST_TIME = 16
LEAST_SENSORS = 5


@dataclass(frozen=True)
class TimeSeriesSpace(Chain):
    """The space for (T, S) = (``time``, ``sensors``) and ``classes`` classes."""

    time: int
    sensors: int
    classes: int
    time_channels: tuple[int, ...] = (4, 8, 12, 16)
    fusion_channels: tuple[int, ...] = (8, 16, 24, 32)
    kernels: tuple[int, ...] = KERNELS
    branches: tuple[tuple[int, ...], ...] = BRANCHES
    cells_per_stage: int = 3
    name: str = "timeseries"

    def __post_init__(self) -> None:
        if self.time < 2 or self.sensors < 1 or self.classes < 2:
            raise InputError(
                f"space timeseries needs at least 2 samples, 1 sensor and 2 classes, got "
                f"{self.time} x {self.sensors} and {self.classes} classes"
            )

    @property
    def input_shape(self) -> InputShape:
        return (self.time, self.sensors, 1)

    @property
    def spec(self) -> str:
        return f"{self.name}:{self.time}x{self.sensors}x{self.classes}"

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        stages: list[Stage] = []
        widths: tuple[int, ...] = (1,)
        for i in range(halvings(self.time, LEAST_TIME)):
            stages.append(Stage(f"time{i}", self._time_decisions(i), widths))
            widths = self.time_channels
        for j in range(halvings(self.sensors, LEAST_SENSORS) * self.cells_per_stage):
            stages.append(Stage(f"fusion{j}", self._fusion_decisions(j), widths))
            widths = self.fusion_channels
        return (*stages, Stage("head", (), widths))

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(decision for stage in self.stages for decision in stage.decisions)

    def _time_decisions(self, i: int) -> tuple[Decision, ...]:
        return (
            Decision(f"time{i}.kernel", self.kernels),
            Decision(f"time{i}.channels", self.time_channels),
        )

    def _fusion_decisions(self, j: int) -> tuple[Decision, ...]:
        own = (
            Decision(f"fusion{j}.bottleneck", self.fusion_channels),
            Decision(f"fusion{j}.branches", self.branches),
            Decision(f"fusion{j}.residual", (0, 1)),
            Decision(f"fusion{j}.channels", self.fusion_channels),
        )
        return own if self.reduces(j) else (Decision(f"fusion{j}.keep", (0, 1)), *own)

    def reduces(self, j: int) -> bool:
        """Whether fusion cell ``j`` halves the sensors; such a cell cannot be left out."""
        return j % self.cells_per_stage == 0

    @cached_property
    def stage_shapes(self) -> tuple[tuple[int, int], ...]:
        shape, shapes = (self.time, self.sensors), []
        for stage in self.stages:
            shapes.append(shape)
            if stage.name.startswith("time"):
                shape = (-(-shape[0] // 2), shape[1])
            elif stage.name.startswith("fusion") and self.reduces(int(stage.name[6:])):
                shape = (shape[0], -(-shape[1] // 2))
        return tuple(shapes)

    def stage_layers(
        self, index: int, in_channels: int, choice: Mapping[str, Option], source: str
    ) -> tuple[tuple[Layer, ...], int]:
        name = self.stages[index].name
        if name == "head":
            head = ConvLayer("head", source, self.classes, (1, 1), relu=False, norm=False)
            return (head, PoolLayer("pool", "head")), self.classes
        if name.startswith("time"):
            channels = cast(int, choice[f"{name}.channels"])
            kernel = cast(int, choice[f"{name}.kernel"])
            return (ConvLayer(name, source, channels, (kernel, 1), (2, 1)),), channels
        if not choice.get(f"{name}.keep", 1):
            return (), in_channels
        return self._fusion_layers(index, choice, source)

    def _fusion_layers(
        self, index: int, choice: Mapping[str, Option], source: str
    ) -> tuple[tuple[Layer, ...], int]:
        name, width = self.stages[index].name, self.stage_shapes[index][1]
        channels = cast(int, choice[f"{name}.channels"])
        stride = self.fusion_stride(index)
        narrow = cast(int, choice[f"{name}.bottleneck"])
        layers: list[Layer] = [
            ConvLayer(f"{name}.bottleneck", source, narrow, (1, width), stride),
        ]
        # The residual comes before the branches: the cell's input, often the larger, is free then.
        if choice[f"{name}.residual"]:
            layers.append(ConvLayer(f"{name}.residual", source, channels, (1, 1), stride))
        terms = []
        for kernel in cast(tuple[int, ...], choice[f"{name}.branches"]):
            terms.append(f"{name}.branch{kernel}")
            layers.append(ConvLayer(terms[-1], f"{name}.bottleneck", channels, (kernel, 1)))
        if len(terms) == 2:
            layers.append(AddLayer(f"{name}.sum", *terms))
        if choice[f"{name}.residual"]:
            layers.append(AddLayer(f"{name}.add", layers[-1].name, f"{name}.residual"))
        return tuple(layers), channels

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)

    def fusion_stride(self, index: int) -> tuple[int, int]:
        """(1, 2) in a reducing cell, but a single sensor cannot be halved."""
        halve = self.reduces(int(self.stages[index].name[6:])) and self.stage_shapes[index][1] > 1
        return (1, 2) if halve else (1, 1)

    def supernet(self, generator: torch.Generator) -> TimeSeriesSupernet:
        from tinytailor.nas.spaces.timeseries_supernet import TimeSeriesSupernet

        return TimeSeriesSupernet(self, generator)


TIMESERIES = SpaceKind(("STEPS", "CHANNELS", "CLASSES"), (100, 6, 4), TimeSeriesSpace)


def halvings(size: int, least: int) -> int:
    """How often ``size`` can be halved, rounding up, without falling below ``least``; 1 or more."""
    count = 0
    while -(-size // 2) >= least:
        size, count = -(-size // 2), count + 1
    return max(count, 1)
