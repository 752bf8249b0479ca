# SPDX-License-Identifier: Apache-2.0
"""The kinds of layers that networks are made of. Adding one: a new file here and a line in
``KINDS``; nas/testing/layers.py checks every form of it then."""

from __future__ import annotations

from tinytailor.nas.layers.addition import Addition
from tinytailor.nas.layers.base import Kind, Layer, PlacedStep, Step
from tinytailor.nas.layers.convolution import Convolution
from tinytailor.nas.layers.depthwise_convolution import DepthwiseConvolution
from tinytailor.nas.layers.grouped_convolution import GroupedConvolution
from tinytailor.nas.layers.maximum_pool import MaximumPool
from tinytailor.nas.layers.mean_pool import MeanPool
from tinytailor.nas.layers.sensing import Sensing
from tinytailor.nas.layers.squeeze_excite import SqueezeExcite

KINDS: dict[str, type[Kind]] = {
    kind.name: kind
    for kind in (
        Addition,
        Convolution,
        DepthwiseConvolution,
        GroupedConvolution,
        MaximumPool,
        MeanPool,
        Sensing,
        SqueezeExcite,
    )
}

__all__ = ["KINDS", "Kind", "Layer", "PlacedStep", "Step"]
