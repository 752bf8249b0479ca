# SPDX-License-Identifier: Apache-2.0
"""Functions of single elements, as tables of their 256 results.

    table[q] = clip(round(f(s_x (q - z_x)) / s_y) + z_y),     half to even

f is one ONNX operator. Its result is rounded to float32, as that of the file is when it runs.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from tinytailor.compiler import ir
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops import Lookup, Operator
from tinytailor.compiler.ops.lookup import INTEGERS
from tinytailor.nas.layers.base import Filled, Integers, Primitive, Tensors
from tinytailor.nas.layers.onnx_step import OnnxStep
from tinytailor.nas.quantization.base import dequantize, quantize


class Table(Primitive):
    """``onnx_name``: the operator; ``compute`` is its meaning in torch, ``real`` in float64."""

    __slots__ = ()
    onnx_name: ClassVar[str]

    def real(self, x: np.ndarray) -> np.ndarray:
        """The function of real numbers."""
        raise NotImplementedError

    def operator(self, *shapes: Shape) -> Operator:
        return Lookup()

    def filled(self, op: Operator, integers: Integers, reads: Tensors, writes: ir.Tensor) -> Filled:
        x = dequantize(INTEGERS, reads[0])
        y = self.real(x.astype(np.float64)).astype(np.float32)
        return op, {"table": quantize(y, writes)}

    def onnx(self, step: OnnxStep) -> None:
        step.node(self.onnx_name, step.sources, step.target)
