# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``add_n``, the preferred first."""

from tinytailor.compiler.kernels.add_n import plain

VARIANTS = (plain.VARIANT,)
