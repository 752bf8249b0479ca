# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``pad``, the preferred first."""

from tinytailor.compiler.kernels.pad import plain

VARIANTS = (plain.VARIANT,)
