# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``conv2d``, the preferred first."""

from tinytailor.compiler.kernels.conv2d import dsp_tile, mve_dot, plain

VARIANTS = (mve_dot.VARIANT, dsp_tile.VARIANT, plain.VARIANT)
