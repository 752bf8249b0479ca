# SPDX-License-Identifier: Apache-2.0
"""The CoDeNet operator, node SquareDeformDW of domain "tinytailor": see ops/square_deform_dw.py.

It reaches the builder as one opaque call on (x, offset_weight, offset_bias, weight, bias).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import Expression, Finished, Fused
from tinytailor.compiler.frontend.layout import map_order
from tinytailor.compiler.frontend.relax_calls import Call, own_call
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules.linear import in_flash, requantized, weights
from tinytailor.compiler.frontend.rules.operands import activation
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rule, Rules
from tinytailor.compiler.frontend.rules.transpose import as_map
from tinytailor.compiler.ops.square_deform_dw import SquareDeformDW

NAME = "tinytailor.SquareDeformDW"
LAYOUT = "NCHW"


def square_deform_dw(call: Call, builder: GraphBuilder) -> Expression:
    x = activation(builder, call.arguments[0])
    roles = ("offset_weight", "offset_bias", "weight", "bias")
    constants = [
        builder.constant(argument, role)
        for argument, role in zip(call.arguments[1:], roles, strict=True)
    ]
    offset_weight, offset_bias, weight, bias = constants
    source = as_map(builder, x, LAYOUT)
    channels = source.shape[3]
    expected = ((channels,), (1,), (channels, 1, 3, 3), (channels,))
    for role, constant, shape in zip(roles, constants, expected, strict=True):
        if constant.shape != shape:
            raise Declined(f"its {role} has shape {constant.shape}, expected {shape}")
    taps = weights(weight, (0, 2, 3, 1))
    offsets = weights(offset_weight.each(lambda array: array.reshape(1, channels)), (0, 1))

    def finish(fused: Fused) -> Finished:
        pixels = Fused(replace(fused.y, scale=1.0, zero_point=0), 0, 7, offset_bias)
        to_pixels, offset_constants = requantized(source, offsets, pixels, "offset_")
        requant, own = requantized(source, taps, replace(fused, bias=bias))
        weight, bits = taps.integers[..., 0].transpose(1, 2, 0), min(taps.bits, offsets.bits)
        op = SquareDeformDW(source.zero_point, to_pixels.shift, requant)
        used, stored = in_flash(builder, op, weight, bits, fused, source.shape)
        arrays = {
            "offset_weight": offsets.integers[0].astype(np.int8),
            "weight": stored,
            **offset_constants,
            **own,
        }
        return used, (source.name,), arrays

    return Expression(call.shape, map_order(call.shape, LAYOUT), source.shape, finish)


def opaque(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """The call that stands for a node in Relax; its map has the shape of its input."""
    known = [item for item in inputs if item is not None]
    return [own_call(NAME, known, known[0].ty)]


RULES = Rules(calls={NAME: Rule(square_deform_dw)}, onnx={NAME: Onnx(opaque)})
