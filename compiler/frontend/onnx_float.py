# SPDX-License-Identifier: Apache-2.0
"""ONNX operators that are imported only with --allow-float, as none has an integer form here.

All are tried against onnxruntime (tests/frontend/test_frontend_float_ops.py); TVM imports more,
which stay refused. CONVERSIONS are those whose conversion in TVM leaves Relax.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinytailor.compiler.frontend.onnx_operators import Attributes, Conversion, numbers

OPERATORS = frozenset(
    {
        "CumSum",
        "Einsum",
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "LogSoftmax",
        "LRN",
        "Mean",
        "MeanVarianceNormalization",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceProd",
        "ReduceSumSquare",
        "RMSNormalization",
        "Sum",
    }
)


def cumulative_sum(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    from tvm import relax

    (axis,) = numbers(inputs, 1, "axis") or (0,)
    reverse = bool(attributes.get("reverse", 0))
    x = relax.op.flip(inputs[0], axis) if reverse else inputs[0]
    y = relax.op.cumsum(x, axis, exclusive=bool(attributes.get("exclusive", 0)))
    return [relax.op.flip(y, axis) if reverse else y]


def einsum(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    from tvm import relax

    return [relax.op.einsum(relax.Tuple(inputs), attributes["equation"].decode())]


CONVERSIONS: dict[str, Conversion] = {"CumSum": cumulative_sum, "Einsum": einsum}
