# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``l2_normalize``, the preferred first."""

from tinytailor.compiler.kernels.l2_normalize import plain

VARIANTS = (plain.VARIANT,)
