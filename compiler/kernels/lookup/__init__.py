# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``lookup``, the preferred first."""

from tinytailor.compiler.kernels.lookup import plain

VARIANTS = (plain.VARIANT,)
