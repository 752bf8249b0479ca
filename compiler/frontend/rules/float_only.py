# SPDX-License-Identifier: Apache-2.0
"""ONNX operators that are imported only with --allow-float, as none has an integer form here.

All are tried against onnxruntime (tests/frontend/test_frontend_float_ops.py); TVM imports more,
which stay refused. Those whose conversion in TVM leaves Relax have one here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.onnx.arguments import numbers
from tinytailor.compiler.frontend.relax_calls import shape_of
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rules


def cumulative_sum(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """A product with a triangle of ones."""
    from tvm import relax

    shape = shape_of(inputs[0])
    (axis,) = numbers(inputs, 1, "axis") or (0,)
    size = shape[axis % len(shape)]
    taken = np.tri(size, k=-int(attributes.get("exclusive", 0)), dtype=np.float32)
    matrix = relax.const(taken if attributes.get("reverse", 0) else taken.T)
    swap = list(range(len(shape)))
    swap[axis], swap[-1] = swap[-1], swap[axis]
    y = relax.op.matmul(relax.op.permute_dims(inputs[0], swap), matrix)
    return [relax.op.permute_dims(y, swap)]


def einsum(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    from tvm import relax

    return [relax.op.einsum(relax.Tuple(inputs), attributes["equation"].decode())]


TVM = (
    *("GroupNormalization", "LRN", "Mean"),
    *("MeanVarianceNormalization", "RMSNormalization", "ReduceL2", "ReduceLogSum"),
    *("ReduceLogSumExp", "ReduceProd"),
)
RULES = Rules(
    onnx_in_float={
        **{name: Onnx() for name in TVM},
        "CumSum": Onnx(cumulative_sum),
        "Einsum": Onnx(einsum),
    }
)
