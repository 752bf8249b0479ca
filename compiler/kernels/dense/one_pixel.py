# SPDX-License-Identifier: Apache-2.0
"""A dense layer as a convolution of a single pixel that has its features as channels."""

from __future__ import annotations

from dataclasses import replace

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Variant
from tinytailor.compiler.ops.conv2d import Conv2d
from tinytailor.compiler.ops.dense import Dense
from tinytailor.compiler.ops.window import Window


def convolution(op: Dense) -> Conv2d:
    return Conv2d(op.out_features, Window((1, 1)), requant=op.requant, weight_bits=op.weight_bits)


def pixel(shapes: Shapes) -> Shapes:
    return ((1, 1, *shapes[0]),)


def of_dense(variant: Variant) -> Variant:
    """The ``variant`` of a convolution for dense layers."""

    def lower(op: Dense, shapes: Shapes, constants: Constants, *knobs: int) -> TirKernel:
        return variant.lower(convolution(op), pixel(shapes), constants, *knobs)

    def limits(op: Dense, shapes: Shapes) -> str:
        return variant.limits(convolution(op), pixel(shapes))

    return replace(variant, lower=lower, limits=limits)
