# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``add_constant``, the preferred first."""

from tinytailor.compiler.kernels.add_constant import plain

VARIANTS = (plain.VARIANT,)
