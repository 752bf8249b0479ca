# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``extremum``, the preferred first."""

from tinytailor.compiler.kernels.extremum import plain

VARIANTS = (plain.VARIANT,)
