# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``add``, the preferred first."""

from tinytailor.compiler.kernels.add import plain

VARIANTS = (plain.VARIANT,)
