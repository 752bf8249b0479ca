# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``prelu``, the preferred first."""

from tinytailor.compiler.kernels.prelu import plain

VARIANTS = (plain.VARIANT,)
