# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``depthwise_conv2d``, the preferred first."""

from tinytailor.compiler.kernels.depthwise_conv2d import dsp_window, mve_window, plain

VARIANTS = (mve_window.VARIANT, dsp_window.VARIANT, plain.VARIANT)
