# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``concat``, the preferred first."""

from tinytailor.compiler.kernels.concat import plain

VARIANTS = (plain.VARIANT,)
