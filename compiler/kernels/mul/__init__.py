# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``mul``, the preferred first."""

from tinytailor.compiler.kernels.mul import plain

VARIANTS = (plain.VARIANT,)
