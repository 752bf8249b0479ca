# SPDX-License-Identifier: Apache-2.0
"""The unit for 1x1 convolutions: one 16 x 16 tile of weights a cycle."""

from tinytailor.compiler.fpga.units.pointwise.unit import Pointwise

__all__ = ["Pointwise"]
