# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``reshape``, the preferred first."""

from tinytailor.compiler.kernels.reshape import plain

VARIANTS = (plain.VARIANT,)
