# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``float``, the preferred first."""

from tinytailor.compiler.kernels.float import plain

VARIANTS = (plain.VARIANT,)
