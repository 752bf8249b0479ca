# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``dense``, the preferred first: those of a convolution of one pixel."""

from tinytailor.compiler.kernels import conv2d
from tinytailor.compiler.kernels.dense.one_pixel import of_dense

VARIANTS = tuple(of_dense(variant) for variant in conv2d.VARIANTS)
