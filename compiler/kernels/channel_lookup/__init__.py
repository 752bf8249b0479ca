# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``channel_lookup``, the preferred first."""

from tinytailor.compiler.kernels.channel_lookup import plain

VARIANTS = (plain.VARIANT,)
