# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``conv_transpose2d``, the preferred first."""

from tinytailor.compiler.kernels.conv_transpose2d import dsp_tile, plain

VARIANTS = (dsp_tile.VARIANT, plain.VARIANT)
