# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``square_deform_dw``, the preferred first."""

from tinytailor.compiler.kernels.square_deform_dw import dsp_window, plain

VARIANTS = (dsp_window.VARIANT, plain.VARIANT)
