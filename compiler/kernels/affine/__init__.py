# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``affine``, the preferred first."""

from tinytailor.compiler.kernels.affine import plain

VARIANTS = (plain.VARIANT,)
