# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``arg_max``, the preferred first."""

from tinytailor.compiler.kernels.arg_max import plain

VARIANTS = (plain.VARIANT,)
