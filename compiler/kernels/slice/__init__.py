# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``slice``, the preferred first."""

from tinytailor.compiler.kernels.slice import plain

VARIANTS = (plain.VARIANT,)
