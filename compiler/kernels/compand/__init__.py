# SPDX-License-Identifier: Apache-2.0
"""Kernels of ``compand``, the preferred first."""

from tinytailor.compiler.kernels.compand import dsp_octave, plain

VARIANTS = (dsp_octave.VARIANT, plain.VARIANT)
