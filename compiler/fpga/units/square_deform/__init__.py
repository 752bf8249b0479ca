# SPDX-License-Identifier: Apache-2.0
"""The unit for square deformable depthwise 3x3 convolutions: three taps of 16 channels a cycle."""

from tinytailor.compiler.fpga.units.square_deform.unit import SquareDeform

__all__ = ["SquareDeform"]
