# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``take``, the preferred first."""

from tinytailor.compiler.kernels.take import plain

VARIANTS = (plain.VARIANT,)
