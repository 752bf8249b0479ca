# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``squared_difference``, the preferred first."""

from tinytailor.compiler.kernels.squared_difference import plain

VARIANTS = (plain.VARIANT,)
