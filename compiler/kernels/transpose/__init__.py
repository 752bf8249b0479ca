# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``transpose``, the preferred first."""

from tinytailor.compiler.kernels.transpose import plain

VARIANTS = (plain.VARIANT,)
