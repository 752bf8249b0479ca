# SPDX-License-Identifier: Apache-2.0
"""Quantizers by name. Adding one: a new file here and a line in ``QUANTIZERS``."""

from __future__ import annotations

from tinytailor.nas.quantization.base import Affine, Quantizer, dequantize, quantize
from tinytailor.nas.quantization.int8 import Int8

QUANTIZERS: dict[str, Quantizer] = {
    "int8": Int8(),
}

__all__ = ["QUANTIZERS", "Affine", "Int8", "Quantizer", "dequantize", "quantize"]
