# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``log_softmax``, the preferred first."""

from tinytailor.compiler.kernels.log_softmax import plain

VARIANTS = (plain.VARIANT,)
