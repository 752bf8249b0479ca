# SPDX-License-Identifier: Apache-2.0
"""Stride, dilation and padding of the windows that convolutions and poolings slide over a map."""

from __future__ import annotations

from collections.abc import Mapping

from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.ops.geometry import Padding, Pair


def window(attributes: Mapping[str, object], dimensions: int) -> tuple[Pair, Pair, Padding]:
    """(stride, dilation, padding as top, left, bottom, right) of a convolution or pooling."""
    stride = list(attributes["strides"])  # type: ignore[call-overload]
    dilation = list(attributes["dilation"])  # type: ignore[call-overload]
    padding = list(attributes["padding"])  # type: ignore[call-overload]
    if dimensions == 1:
        before, after = padding if len(padding) == 2 else padding * 2
        return (stride[0], 1), (dilation[0], 1), (before, 0, after, 0)
    if min(*stride, *dilation) < 1 or min(padding) < 0:
        raise Declined(f"stride {stride}, dilation {dilation} or padding {padding} is out of range")
    top, left, bottom, right = padding
    return (stride[0], stride[1]), (dilation[0], dilation[1]), (top, left, bottom, right)
