# SPDX-License-Identifier: Apache-2.0
"""Stride, dilation and padding of the windows that convolutions and poolings slide over a map."""

from __future__ import annotations

from collections.abc import Mapping

from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.ops.window import Pair, Window


def window(attributes: Mapping[str, object], dimensions: int, kernel: Pair) -> Window:
    """Of a convolution or pooling with this kernel; a series is a map of width 1."""
    stride = list(attributes["strides"])  # type: ignore[call-overload]
    dilation = list(attributes["dilation"])  # type: ignore[call-overload]
    padding = list(attributes["padding"])  # type: ignore[call-overload]
    if dimensions == 1:
        before, after = padding if len(padding) == 2 else padding * 2
        return Window(kernel, (stride[0], 1), (before, 0, after, 0), (dilation[0], 1))
    if min(*stride, *dilation) < 1 or min(padding) < 0:
        raise Declined(f"stride {stride}, dilation {dilation} or padding {padding} is out of range")
    (down, right), (rows, columns), (top, left, bottom, last) = stride, dilation, padding
    return Window(kernel, (down, right), (top, left, bottom, last), (rows, columns))
