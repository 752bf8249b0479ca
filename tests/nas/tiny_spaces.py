# SPDX-License-Identifier: Apache-2.0
"""One space of each kind that is small enough to visit all of its networks."""

from __future__ import annotations

from itertools import product

from tinytailor.nas.spaces import (
    Architecture,
    ImageSpace,
    Space,
    TimeSeriesSpace,
    architecture,
)


def tiny_space() -> TimeSeriesSpace:
    """Small enough to visit all of its networks."""
    return TimeSeriesSpace(
        20,
        3,
        2,
        time_channels=(4, 8),
        fusion_channels=(8, 16),
        kernels=(3, 5),
        branches=((3,), (3, 5)),
        cells_per_stage=2,
    )


def tiny_image_space() -> ImageSpace:
    """Small enough to visit all of its networks: two stages, one kernel."""
    return ImageSpace(
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


def everything(space: Space) -> list[Architecture]:
    names = [d.name for d in space.decisions]
    return [
        architecture(space, dict(zip(names, options, strict=True)))
        for options in product(*(d.options for d in space.decisions))
    ]
