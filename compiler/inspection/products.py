# SPDX-License-Identifier: Apache-2.0
"""Multiply-accumulates of operators, from the shapes of what they read and write.

Padding is included, as everywhere (Operator.macs). An operator that the compiler has a rule for and
that is no product has none; of one that it knows nothing of, nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from tinytailor.compiler.frontend.onnx.qoperator import REWRITES
from tinytailor.compiler.frontend.rules import ONNX_IN_FLOAT, TFLITE
from tinytailor.compiler.frontend.tflite.constants import FOLDED
from tinytailor.compiler.frontend.tflite.writers import WRITERS
from tinytailor.compiler.inspection.record import OpenShape
from tinytailor.compiler.ir import Shape


@dataclass(frozen=True, slots=True)
class Product:
    """``count(output, *shapes)``, of the inputs at the places ``reads``."""

    reads: tuple[int, ...]
    count: Callable[..., int]


def per_result(y: Shape, weight: Shape) -> int:
    """Weights (outputs, ...): every result is a sum over the rest of them."""
    return prod(y) * prod(weight[1:])


def per_input(y: Shape, x: Shape, weight: Shape) -> int:
    """Weights (inputs, ...): every input is multiplied by the rest of them."""
    return prod(x) * prod(weight[1:])


def rows(y: Shape, a: Shape) -> int:
    """(..., M, K) times (..., K, N)."""
    return prod(y) * a[-1]


def matrix(y: Shape, a: Shape) -> int:
    """(M, K) or its transpose, times what gives N columns."""
    return prod(a) * y[-1]


ONNX_PRODUCTS: Mapping[str, Product] = {
    "Conv": Product((1,), per_result),
    "ConvInteger": Product((1,), per_result),
    "ConvTranspose": Product((0, 1), per_input),
    "DeformConv": Product((1,), per_result),
    "Gemm": Product((0,), matrix),
    "MatMul": Product((0,), rows),
    "MatMulInteger": Product((0,), rows),
    "QLinearConv": Product((3,), per_result),
    "QLinearMatMul": Product((0,), rows),
    "com.microsoft.QGemm": Product((0,), matrix),
    "com.microsoft.QLinearConv": Product((3,), per_result),
}
TFLITE_PRODUCTS: Mapping[str, Product] = {
    "BATCH_MATMUL": Product((0,), lambda y, a: prod(y) * prod(a[-2:]) // y[-2]),
    "CONV_2D": Product((1,), per_result),
    "CONV_3D": Product((1,), lambda y, weight: prod(y) * prod(weight[:-1])),
    "DEPTHWISE_CONV_2D": Product((1,), lambda y, weight: prod(y) * prod(weight[1:3])),
    "FULLY_CONNECTED": Product((1,), lambda y, weight: prod(y) * weight[-1]),
    "TRANSPOSE_CONV": Product((2, 1), lambda y, x, weight: prod(x) * prod(weight[:3])),
}
REWRITTEN = {f"{domain}.{kind}" if domain else kind for domain, kind in REWRITES}
ONNX_OTHERS = {*ONNX_IN_FLOAT, *REWRITTEN, "DynamicQuantizeLinear"} - {"Einsum"}
TFLITE_OTHERS = {*TFLITE, *FOLDED, *WRITERS, "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"}


def onnx_macs(
    kind: str, inputs: Sequence[OpenShape | None], output: OpenShape | None
) -> int | None:
    return _macs(kind, ONNX_PRODUCTS, ONNX_OTHERS, inputs, output)


def tflite_macs(
    kind: str, inputs: Sequence[OpenShape | None], output: OpenShape | None
) -> int | None:
    return _macs(kind, TFLITE_PRODUCTS, TFLITE_OTHERS, inputs, output)


def _macs(
    kind: str,
    products: Mapping[str, Product],
    others: Collection[str],
    inputs: Sequence[OpenShape | None],
    output: OpenShape | None,
) -> int | None:
    product = products.get(kind)
    if product is None:
        return 0 if kind in others else None
    shapes = [output, *(inputs[i] if i < len(inputs) else None for i in product.reads)]
    if any(shape is None or None in shape for shape in shapes):
        return None
    try:
        return product.count(*shapes)
    except (IndexError, ZeroDivisionError):  # the shapes are none of such a product
        return None
