# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``max_pool2d``, the preferred first."""

from tinytailor.compiler.kernels.max_pool2d import plain

VARIANTS = (plain.VARIANT,)
