# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``resize_linear``, the preferred first."""

from tinytailor.compiler.kernels.resize_linear import mve_taps, plain

VARIANTS = (mve_taps.VARIANT, plain.VARIANT)
