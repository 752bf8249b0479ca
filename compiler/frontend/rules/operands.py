# SPDX-License-Identifier: Apache-2.0
"""The int8 tensor that a rule computes with, or the reason why an argument is none."""

from __future__ import annotations

from typing import Any

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Constant,
    FloatInput,
    Indices,
    Samples,
    Unknown,
)
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.implied_ranges import settled

UNQUANTIZED = (
    "quantize in QDQ form, compile the float model with --calibration, or put QuantizeLinear, "
    "DequantizeLinear"
)


def dequantized(builder: GraphBuilder, argument: Any, does: str) -> Activation:
    """``activation``, of real numbers; ``does``: what the operator does with them."""
    x = activation(builder, argument)
    if not x.real:
        raise Declined(f"it {does} integers that were not dequantized")
    return x


def activation(builder: GraphBuilder, argument: Any) -> Activation:
    """The int8 tensor behind an argument that should be one."""
    value = settled(builder, argument)
    if isinstance(value, Activation):
        return value
    if isinstance(value, Unknown):
        raise Declined("")
    if isinstance(value, Constant):
        raise Declined("expected an activation, got a constant")
    if isinstance(value, Indices):
        raise Declined("it computes with indices, which can only be an output of the model")
    if isinstance(value, Samples):
        raise Declined("it computes with int16 samples, expected Compand before it")
    if isinstance(value, FloatInput):
        raise Declined(
            f"input {value.name} is not quantized before it: do this step outside of the model "
            "(give parts an input each), or compile the float model with --calibration"
        )
    raise Declined(f"its input is not quantized: {UNQUANTIZED} before it")
