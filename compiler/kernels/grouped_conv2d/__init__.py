# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``grouped_conv2d``, the preferred first."""

from tinytailor.compiler.kernels.grouped_conv2d import dsp_tile, plain

VARIANTS = (dsp_tile.VARIANT, plain.VARIANT)
