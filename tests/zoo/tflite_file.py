# SPDX-License-Identifier: Apache-2.0
"""Writes quantized TFLite files layer by layer, with scales taken from a random batch.

Every method returns a tensor that carries ``real``, the batch in float (N, ...), from which its
scale and zero point come, as a converter takes them from its representative data set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - its usual name

BATCH = 16
LIMITS = {"NONE": (-np.inf, np.inf), "RELU": (0, np.inf), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}


@dataclass(frozen=True)
class Tensor:
    index: int
    real: np.ndarray
    scale: float
    zero_point: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (1, *self.real.shape[1:])


class File:
    """``dtype``: int8, or uint8 as before 2019. ``per_channel``: weights, else one scale each."""

    def __init__(self, seed: int = 0, dtype: str = "int8", per_channel: bool = True) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype, self.per_channel = np.dtype(dtype), per_channel
        self.buffers = [schema.BufferT()]
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[Any] = []
        self.inputs: list[int] = []

    # --- tensors ----------------------------------------------------------------------------

    def add(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype,
        scale: np.ndarray | None = None,
        zero_point: int = 0,
        data: np.ndarray | None = None,
        axis: int = 0,
    ) -> int:
        tensor, buffer = schema.TensorT(), schema.BufferT()
        tensor.name, tensor.shape = f"tensor_{len(self.tensors)}", list(shape)
        tensor.type = getattr(schema.TensorType, np.dtype(dtype).name.upper())
        tensor.buffer = len(self.buffers)
        if data is not None:
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        if scale is not None:
            quantization = tensor.quantization = schema.QuantizationParametersT()
            quantization.scale = [float(s) for s in np.atleast_1d(scale)]
            quantization.zeroPoint = [int(zero_point)] * np.size(scale)
            quantization.quantizedDimension = axis
        self.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def numbers(self, values: object) -> int:
        array = np.asarray(values, np.int32)
        return self.add(array.shape, array.dtype, data=array)

    def activation(self, real: np.ndarray, known: tuple[float, int] | None = None) -> Tensor:
        """``known``: scale and zero point (of int8) where TFLite fixes them."""
        if known is None:
            low, high = min(0.0, float(real.min())), max(0.0, float(real.max()))
            scale = np.float32((high - low) / 255)
            known = float(scale), int(np.clip(np.rint(-128 - low / scale), -128, 127))
        scale, zero = known[0], known[1] + (128 if self.dtype == np.uint8 else 0)
        index = self.add((1, *real.shape[1:]), self.dtype, np.float32([scale]), zero)
        return Tensor(index, real, scale, zero)

    def operator(
        self, kind: str, inputs: list[int], outputs: list[int], options: str = "", **fields: object
    ) -> None:
        code, node = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = VERSIONS.get(kind, 2) if self.dtype == np.int8 else 1
        node.opcodeIndex, node.inputs, node.outputs = len(self.codes), inputs, outputs
        if options:
            node.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            node.builtinOptions = getattr(schema, f"{options}T")()
            for name, value in fields.items():
                setattr(node.builtinOptions, name, value)
        self.codes.append(code)
        self.operators.append(node)

    def save(self, path: Path, *outputs: Tensor) -> Path:
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.tensors, graph.operators, graph.name = self.tensors, self.operators, "main"
        graph.inputs, graph.outputs = self.inputs, [tensor.index for tensor in outputs]
        model.version, model.operatorCodes, model.subgraphs = 3, self.codes, [graph]
        model.buffers = self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path

    # --- layers -----------------------------------------------------------------------------

    def input(self, *shape: int) -> Tensor:
        tensor = self.activation(self.rng.normal(0, 1, (BATCH, *shape)).astype(np.float32))
        self.inputs.append(tensor.index)
        return tensor

    def weights(self, shape: tuple[int, ...], axis: int, fan: int) -> tuple[int, np.ndarray, Any]:
        """(tensor, real weights, scales): int8 symmetric, or uint8 with a zero point."""
        real = self.rng.normal(0, np.sqrt(2 / fan), shape).astype(np.float32)
        if self.dtype == np.uint8:
            low, high = float(real.min()), float(real.max())
            scale = np.float32((high - low) / 255)
            zero = int(np.clip(np.rint(-low / scale), 0, 255))
            data = np.clip(np.rint(real / scale) + zero, 0, 255).astype(np.uint8)
            index = self.add(shape, self.dtype, scale, zero, data)
            return index, (data.astype(np.float32) - zero) * scale, scale
        others = tuple(a for a in range(len(shape)) if a != axis) if self.per_channel else None
        scale = (np.abs(real).max(axis=others, keepdims=self.per_channel) / 127).astype(np.float32)
        data = np.clip(np.rint(real / scale), -127, 127).astype(np.int8)
        axis = axis if self.per_channel else 0
        index = self.add(shape, self.dtype, scale.reshape(-1), 0, data, axis)
        return index, data * scale, scale.reshape(-1)

    def bias(self, x: Tensor, scales: Any, count: int) -> tuple[int, np.ndarray]:
        unit = np.float32(x.scale) * np.asarray(scales, np.float32)
        data = np.rint(self.rng.normal(0, 0.1, count) / unit).astype(np.int32)
        return self.add((count,), np.dtype(np.int32), unit, 0, data), data * unit

    def conv(
        self,
        x: Tensor,
        channels: int,
        kernel: tuple[int, int] = (3, 3),
        stride: int = 1,
        padding: str = "SAME",
        act: str = "RELU",
        dilation: int = 1,
    ) -> Tensor:
        c = x.shape[3]
        w, real, scales = self.weights((channels, *kernel, c), 0, kernel[0] * kernel[1] * c)
        b, shift = self.bias(x, scales, channels)
        y = window(
            x.real,
            kernel,
            stride,
            padding,
            dilation,
            lambda t: F.conv2d(
                t,
                torch.tensor(real.transpose(0, 3, 1, 2)),
                torch.tensor(shift, dtype=torch.float32),
                stride,
                dilation=dilation,
            ),
        )
        out = self.activation(np.clip(y, *LIMITS[act]))
        self.operator(
            "CONV_2D",
            [x.index, w, b],
            [out.index],
            "Conv2DOptions",
            **places(padding, stride, act, dilation),
        )
        return out

    def depthwise(
        self,
        x: Tensor,
        multiplier: int = 1,
        kernel: tuple[int, int] = (3, 3),
        stride: int = 1,
        padding: str = "SAME",
        act: str = "RELU",
    ) -> Tensor:
        c = x.shape[3]
        w, real, scales = self.weights((1, *kernel, c * multiplier), 3, kernel[0] * kernel[1])
        b, shift = self.bias(x, scales, c * multiplier)
        y = window(
            x.real,
            kernel,
            stride,
            padding,
            1,
            lambda t: F.conv2d(
                t,
                torch.tensor(real.transpose(3, 0, 1, 2)),
                torch.tensor(shift, dtype=torch.float32),
                stride,
                groups=c,
            ),
        )
        out = self.activation(np.clip(y, *LIMITS[act]))
        self.operator(
            "DEPTHWISE_CONV_2D",
            [x.index, w, b],
            [out.index],
            "DepthwiseConv2DOptions",
            depthMultiplier=multiplier,
            **places(padding, stride, act, 1),
        )
        return out

    def dense(self, x: Tensor, outputs: int, act: str = "NONE") -> Tensor:
        flat = x.real.reshape(BATCH, -1)
        w, real, scales = self.weights((outputs, flat.shape[1]), 0, flat.shape[1])
        b, shift = self.bias(x, scales, outputs)
        out = self.activation(np.clip(flat @ real.T + shift, *LIMITS[act]).astype(np.float32))
        self.operator(
            "FULLY_CONNECTED",
            [x.index, w, b],
            [out.index],
            "FullyConnectedOptions",
            fusedActivationFunction=getattr(schema.ActivationFunctionType, act),
        )
        return out

    def pool(
        self, x: Tensor, kind: str, kernel: tuple[int, int], stride: int = 1, padding: str = "VALID"
    ) -> Tensor:
        shape = window_shape(x.shape, kernel, stride, padding)
        real = np.resize(x.real, (BATCH, *shape)).astype(np.float32)  # its range is that of x
        out = self.activation(real, (x.scale, x.zero_point - self.offset))
        self.operator(
            f"{kind}_POOL_2D",
            [x.index],
            [out.index],
            "Pool2DOptions",
            filterHeight=kernel[0],
            filterWidth=kernel[1],
            **{k: v for k, v in places(padding, stride, "NONE", 1).items() if "ilation" not in k},
        )
        return out

    @property
    def offset(self) -> int:
        return 128 if self.dtype == np.uint8 else 0

    def add_tensors(self, a: Tensor, b: Tensor, act: str = "NONE") -> Tensor:
        out = self.activation(np.clip(a.real + b.real, *LIMITS[act]))
        self.operator(
            "ADD",
            [a.index, b.index],
            [out.index],
            "AddOptions",
            fusedActivationFunction=getattr(schema.ActivationFunctionType, act),
        )
        return out

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        out = self.activation(a.real * b.real)
        self.operator("MUL", [a.index, b.index], [out.index], "MulOptions")
        return out

    def concat(self, *parts: Tensor) -> Tensor:
        """The parts are brought to the scale of the result, as TFLite demands."""
        out = self.activation(np.concatenate([part.real for part in parts], -1))
        scaled = []
        for part in parts:
            scaled.append(self.activation(part.real, (out.scale, out.zero_point - self.offset)))
            self.operator("QUANTIZE", [part.index], [scaled[-1].index])
        self.operator(
            "CONCATENATION", [p.index for p in scaled], [out.index], "ConcatenationOptions", axis=3
        )
        return out

    def reshape(self, x: Tensor, *shape: int) -> Tensor:
        out = self.activation(x.real.reshape(BATCH, *shape), (x.scale, x.zero_point - self.offset))
        self.operator(
            "RESHAPE",
            [x.index, self.numbers([1, *shape])],
            [out.index],
            "ReshapeOptions",
            newShape=[1, *shape],
        )
        return out

    def mean(self, x: Tensor, keep: bool = False) -> Tensor:
        out = self.activation(x.real.mean((1, 2), keepdims=keep))
        self.operator(
            "MEAN", [x.index, self.numbers([1, 2])], [out.index], "ReducerOptions", keepDims=keep
        )
        return out

    def unary(self, x: Tensor, kind: str) -> Tensor:
        function, known = UNARY[kind]
        out = self.activation(function(x.real).astype(np.float32), known)
        self.operator(kind, [x.index], [out.index])
        return out

    def softmax(self, x: Tensor) -> Tensor:
        e = np.exp(x.real - x.real.max(-1, keepdims=True))
        out = self.activation(e / e.sum(-1, keepdims=True), (1 / 256, -128))
        self.operator("SOFTMAX", [x.index], [out.index], "SoftmaxOptions", beta=1.0)
        return out

    def float_input(self, *shape: int) -> Tensor:
        """A float input and QUANTIZE, as the converter writes by default."""
        real = self.rng.normal(0, 1, (BATCH, *shape)).astype(np.float32)
        self.inputs.append(self.add((1, *shape), np.dtype(np.float32)))
        out = self.activation(real)
        self.operator("QUANTIZE", [self.inputs[-1]], [out.index])
        return out

    def float_output(self, x: Tensor) -> Tensor:
        index = self.add(x.shape, np.dtype(np.float32))
        self.operator("DEQUANTIZE", [x.index], [index])
        return Tensor(index, x.real, 0.0, 0)


VERSIONS = {
    "HARD_SWISH": 1,
    "DEPTHWISE_CONV_2D": 3,
    "CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "RESHAPE": 1,
    "QUANTIZE": 1,
}
UNARY: dict[str, tuple[Callable[[np.ndarray], np.ndarray], tuple[float, int] | None]] = {
    "LOGISTIC": (lambda x: 1 / (1 + np.exp(-x)), (1 / 256, -128)),
    "TANH": (np.tanh, (1 / 128, 0)),
    "HARD_SWISH": (lambda x: x * np.clip(x + 3, 0, 6) / 6, None),
    "RELU6": (lambda x: np.clip(x, 0, 6), None),
}


def same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    total = max(0, (-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size)
    return total // 2, total - total // 2


def window(
    x: np.ndarray,
    kernel: tuple[int, int],
    stride: int,
    padding: str,
    dilation: int,
    function: Callable[[torch.Tensor], torch.Tensor],
) -> np.ndarray:
    """``function`` of the padded NCHW batch, back as NHWC."""
    t = torch.tensor(x).permute(0, 3, 1, 2)
    if padding == "SAME":
        top, bottom = same(x.shape[1], kernel[0], stride, dilation)
        left, right = same(x.shape[2], kernel[1], stride, dilation)
        t = F.pad(t, (left, right, top, bottom))
    return function(t).permute(0, 2, 3, 1).contiguous().numpy()


def window_shape(
    shape: tuple[int, ...], kernel: tuple[int, int], stride: int, padding: str
) -> tuple[int, ...]:
    if padding == "SAME":
        return -(-shape[1] // stride), -(-shape[2] // stride), shape[3]
    return (shape[1] - kernel[0]) // stride + 1, (shape[2] - kernel[1]) // stride + 1, shape[3]


def places(padding: str, stride: int, act: str, dilation: int) -> dict[str, int]:
    return {
        "padding": getattr(schema.Padding, padding),
        "strideH": stride,
        "strideW": stride,
        "fusedActivationFunction": getattr(schema.ActivationFunctionType, act),
        "dilationHFactor": dilation,
        "dilationWFactor": dilation,
    }
