# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``softmax``, the preferred first."""

from tinytailor.compiler.kernels.softmax import plain

VARIANTS = (plain.VARIANT,)
