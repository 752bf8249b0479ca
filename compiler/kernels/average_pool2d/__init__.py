# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``average_pool2d``, the preferred first."""

from tinytailor.compiler.kernels.average_pool2d import plain

VARIANTS = (plain.VARIANT,)
