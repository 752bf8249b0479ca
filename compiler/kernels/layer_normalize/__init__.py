# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``layer_normalize``, the preferred first."""

from tinytailor.compiler.kernels.layer_normalize import plain

VARIANTS = (plain.VARIANT,)
