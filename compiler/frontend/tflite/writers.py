# SPDX-License-Identifier: Apache-2.0
"""The ONNX nodes of each float TFLite operator: a function of the operator and a line in WRITERS.

Maps come as (1, H, W, C); ``Operation.map`` and ``Operation.end_map`` turn them for ONNX.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi, sqrt
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.tflite.arguments import expanded_shape
from tinytailor.compiler.frontend.tflite.onnx_writer import Operation


def window(
    op: Operation, table: str, kernel: Sequence[int], dilation: Sequence[int] = (1, 1)
) -> dict[str, Any]:
    """ONNX attributes of a sliding window; SAME puts the odd row and column behind."""
    strides = [int(op.option(table, "StrideH")), int(op.option(table, "StrideW"))]
    pads = [0, 0, 0, 0]
    if op.option(table, "Padding") == 0:  # SAME
        for axis in (0, 1):
            size = op.shape(0)[1 + axis]
            reach = dilation[axis] * (kernel[axis] - 1) + 1
            total = max((-(-size // strides[axis]) - 1) * strides[axis] + reach - size, 0)
            pads[axis], pads[2 + axis] = total // 2, total - total // 2
    return {"kernel_shape": [int(k) for k in kernel], "strides": strides, "pads": pads}


def convolution(op: Operation) -> None:
    """CONV_2D with weights (O, H, W, I), DEPTHWISE_CONV_2D with (1, H, W, I * multiplier)."""
    depthwise = op.kind == "DEPTHWISE_CONV_2D"
    table = "DepthwiseConv2D" if depthwise else "Conv2D"
    weight = op.array(1, "weight")
    channels = op.shape(0)[3]
    dilations = [op.option(table, "DilationHFactor"), op.option(table, "DilationWFactor")]
    attributes = window(op, table, weight.shape[1:3], dilations)
    if depthwise:
        weight, group = weight.transpose(3, 0, 1, 2), channels
    else:
        weight, group = weight.transpose(0, 3, 1, 2), channels // weight.shape[3]
    operands = [op.map(0), op.store(weight)] + ([op.name(2)] if op.has(2) else [])
    result = op.add("Conv", operands, group=group, dilations=dilations, **attributes)
    op.end_map(result, op.option(table, "FusedActivationFunction"))


def transposed_convolution(op: Operation) -> None:
    """Inputs: output shape, weights (O, H, W, I), x, perhaps a bias."""
    weight = op.array(1, "weight")
    height, width = op.integers(0, "output shape")[1:3]
    strides = [op.option("TransposeConv", "StrideH"), op.option("TransposeConv", "StrideW")]
    pads = [0, 0, 0, 0]
    for axis, size in ((0, height), (1, width)):
        full = (op.shape(2)[1 + axis] - 1) * strides[axis] + weight.shape[1 + axis]
        same = op.option("TransposeConv", "Padding") == 0
        before = max(full - size, 0) // 2 if same else 0
        pads[axis], pads[2 + axis] = before, full - size - before
    operands = [op.map(2), op.store(weight.transpose(3, 0, 1, 2))]
    operands += [op.name(3)] if op.has(3) else []
    extra = [max(-pads[2], 0), max(-pads[3], 0)]
    result = op.add(
        "ConvTranspose",
        operands,
        strides=strides,
        pads=[max(pad, 0) for pad in pads],
        output_padding=extra,
    )
    op.end_map(result)


def pooling(op: Operation) -> None:
    kernel = [op.option("Pool2D", "FilterHeight"), op.option("Pool2D", "FilterWidth")]
    kind = "AveragePool" if op.kind.startswith("AVERAGE") else "MaxPool"
    result = op.add(kind, [op.map(0)], **window(op, "Pool2D", kernel))
    op.end_map(result, op.option("Pool2D", "FusedActivationFunction"))


def fully_connected(op: Operation) -> None:
    weight = op.array(1, "weight")
    rows = op.store(np.array([-1, weight.shape[1]], np.int64))
    operands = [op.add("Reshape", [op.name(0), rows]), op.store(weight)]
    operands += [op.name(2)] if op.has(2) else []
    result = op.add("Gemm", operands, transB=1)
    if op.option("FullyConnected", "KeepNumDims"):
        sizes = [*op.shape(0)[:-1], weight.shape[0]]
        result = op.add("Reshape", [result, op.store(np.array(sizes, np.int64))])
    op.end(result, op.option("FullyConnected", "FusedActivationFunction"))


def arithmetic(kind: str, table: str) -> Callable[[Operation], None]:
    def write(op: Operation) -> None:
        activation = op.option(table, "FusedActivationFunction")
        op.end(op.add(kind, [op.name(0), op.name(1)]), activation)

    return write


def unary(kind: str, **attributes: Any) -> Callable[[Operation], None]:
    return lambda op: op.end(op.add(kind, [op.name(0)], **attributes))


def of_all(kind: str) -> Callable[[Operation], None]:
    """Of all inputs, in their order."""
    return lambda op: op.end(op.add(kind, [op.name(place) for place in range(len(op.inputs))]))


def clip(low: float, high: float) -> Callable[[Operation], None]:
    def write(op: Operation) -> None:
        bounds = [op.store(np.float32(bound)) for bound in (low, high)]
        op.end(op.add("Clip", [op.name(0), *bounds]))

    return write


def gelu(op: Operation) -> None:
    """x / 2 (1 + erf(x / sqrt(2))), or 1 + tanh of a polynomial for the latter."""
    x = op.name(0)

    def scaled(name: str, factor: float) -> str:
        return op.add("Mul", [name, op.store(np.float32(factor))])

    if op.option("Gelu", "Approximate"):
        cube = op.add("Pow", [x, op.store(np.float32(3))])
        inner = op.add("Add", [x, scaled(cube, 0.044715)])
        part = op.add("Tanh", [scaled(inner, sqrt(2 / pi))])
    else:
        part = op.add("Erf", [scaled(x, sqrt(0.5))])
    grown = op.add("Add", [part, op.store(np.float32(1))])
    op.end(op.add("Mul", [scaled(x, 0.5), grown]))


def leaky_relu(op: Operation) -> None:
    op.end(op.add("LeakyRelu", [op.name(0)], alpha=float(op.option("LeakyRelu", "Alpha"))))


def softmax(op: Operation) -> None:
    beta, x = float(op.option("Softmax", "Beta")), op.name(0)
    if beta != 1.0:
        x = op.add("Mul", [x, op.store(np.float32(beta))])
    op.end(op.add("Softmax", [x], axis=-1))


def normalized(op: Operation) -> None:
    if op.option("L2Norm", "FusedActivationFunction"):
        raise Declined("it normalizes and clamps")
    op.end(op.add("LpNormalization", [op.name(0)], axis=-1, p=2))


def reshape_to(op: Operation, sizes: Sequence[int]) -> None:
    op.end(op.add("Reshape", [op.name(0), op.store(np.array(sizes, np.int64))]))


def reshaped(op: Operation) -> None:
    """To what its second input says, or an old file's options."""
    given = op.integers(1, "shape") if op.has(1) else op.option("Reshape", "NewShapeAsNumpy")
    reshape_to(op, given)


def expanded(op: Operation) -> None:
    reshape_to(op, expanded_shape(op.shape(0), op.integers(1, "axis")[0]))


def squeezed(op: Operation) -> None:
    """Of the axes that its options name, or of all that are 1."""
    sizes, axes = op.shape(0), {axis for axis, size in enumerate(op.shape(0)) if size == 1}
    if op.option("Squeeze", "SqueezeDimsLength"):
        axes = {int(axis) % len(sizes) for axis in op.option("Squeeze", "SqueezeDimsAsNumpy")}
    reshape_to(op, [size for axis, size in enumerate(sizes) if axis not in axes])


def transposed(op: Operation) -> None:
    op.end(op.add("Transpose", [op.name(0)], perm=op.integers(1, "permutation")))


def mean(op: Operation) -> None:
    """Over height and width it is GlobalAveragePool; any other mean is left to the importer."""
    axes = sorted(axis % len(op.shape(0)) for axis in op.integers(1, "axes"))
    keep = bool(op.option("Reducer", "KeepDims"))
    if len(op.shape(0)) == 4 and axes == [1, 2]:
        pooled = op.add("GlobalAveragePool", [op.map(0)])
        if keep:
            return op.end_map(pooled)
        shape = op.store(np.array([1, op.shape(0)[3]], np.int64))
        return op.end(op.add("Reshape", [pooled, shape]))
    return op.end(op.add("ReduceMean", [op.name(0)], axes=axes, keepdims=int(keep)))


def concatenation(op: Operation) -> None:
    axis = int(op.option("Concatenation", "Axis"))
    names = [op.name(place) for place in range(len(op.inputs))]
    activation = op.option("Concatenation", "FusedActivationFunction")
    op.end(op.add("Concat", names, axis=axis), activation)


def padded(op: Operation) -> None:
    pads = op.array(1, "padding").reshape(-1, 2).astype(np.int64)
    operands = [op.name(0), op.store(pads.T.reshape(-1))]
    if op.has(2):
        operands.append(op.store(op.array(2, "value").astype(np.float32).reshape(())))
    op.end(op.add("Pad", operands))


def sliced(op: Operation) -> None:
    """SLICE with begins and sizes (-1: to the end); STRIDED_SLICE with begins, ends, strides."""
    shape = op.shape(0)
    begins, ends = op.integers(1, "begin"), op.integers(2, "end")
    strides, dropped = [1] * len(begins), []
    if op.kind == "STRIDED_SLICE":
        strides = op.integers(3, "strides")
        masks = {
            name: int(op.option("StridedSlice", name))
            for name in ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask")
        }
        if masks["EllipsisMask"] or masks["NewAxisMask"]:
            raise Declined("it slices with an ellipsis or a new axis")
        for axis in range(len(begins)):
            forward = strides[axis] > 0
            if masks["ShrinkAxisMask"] >> axis & 1:
                ends[axis], strides[axis] = begins[axis] + 1 or shape[axis], 1
                dropped.append(axis)
                continue
            if masks["BeginMask"] >> axis & 1:
                begins[axis] = 0 if forward else shape[axis] - 1
            if masks["EndMask"] >> axis & 1:
                ends[axis] = shape[axis] if forward else -shape[axis] - 1
    else:
        sizes = zip(begins, ends, shape, strict=True)
        ends = [n if size < 0 else begin + size for begin, size, n in sizes]
    numbers = [begins, ends, list(range(len(begins))), strides]
    operands = [op.store(np.array(values, np.int64)) for values in numbers]
    result = op.add("Slice", [op.name(0), *operands])
    if dropped:
        result = op.add("Squeeze", [result, op.store(np.array(dropped, np.int64))])
    op.end(result)


def split(op: Operation) -> None:
    axis = op.integers(0, "axis")[0] % len(op.shape(1))
    size = op.shape(1)[axis] // len(op.outputs)
    begin = 0
    for place in range(len(op.outputs)):
        numbers = [op.store(np.array([value], np.int64)) for value in (begin, begin + size, axis)]
        op.end(op.add("Slice", [op.name(1), *numbers]), place=place)
        begin += size


def resized(mode: str, table: str) -> Callable[[Operation], None]:
    """Of nearest neighbours floor((x + offset) * scale), offset 0.5 with half_pixel_centers."""

    def write(op: Operation) -> None:
        modes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        if op.option(table, "HalfPixelCenters"):
            modes = {"coordinate_transformation_mode": "half_pixel"}
            modes["nearest_mode"] = "round_prefer_ceil"
        elif op.option(table, "AlignCorners"):
            modes = {"coordinate_transformation_mode": "align_corners"}
            modes["nearest_mode"] = "round_prefer_ceil"
        height, width = op.integers(1, "size")
        sizes = op.store(np.array([1, op.shape(0)[3], height, width], np.int64))
        op.end_map(op.add("Resize", [op.map(0), "", "", sizes], mode=mode, **modes))

    return write


def rearranged(kind: str, table: str, **attributes: Any) -> Callable[[Operation], None]:
    def write(op: Operation) -> None:
        size = int(op.option(table, "BlockSize"))
        op.end_map(op.add(kind, [op.map(0)], blocksize=size, **attributes))

    return write


def reciprocal_square_root(op: Operation) -> None:
    op.end(op.add("Reciprocal", [op.add("Sqrt", [op.name(0)])]))


def squared(op: Operation) -> None:
    """SQUARE, and SQUARED_DIFFERENCE of two."""
    x = op.name(0) if op.kind == "SQUARE" else op.add("Sub", [op.name(0), op.name(1)])
    op.end(op.add("Pow", [x, op.store(np.float32(2))]))


def reduced(kind: str) -> Callable[[Operation], None]:
    """Over the axes that its second input names; of ONNX's operators ReduceSum takes an input."""

    def write(op: Operation) -> None:
        axes = [axis % len(op.shape(0)) for axis in op.integers(1, "axes")]
        keep = int(op.option("Reducer", "KeepDims"))
        if kind == "ReduceSum":
            operands = [op.name(0), op.store(np.array(axes, np.int64))]
            return op.end(op.add(kind, operands, keepdims=keep))
        return op.end(op.add(kind, [op.name(0)], axes=axes, keepdims=keep))

    return write


def tiled(op: Operation) -> None:
    counts = op.store(np.array(op.integers(1, "multiples"), np.int64))
    op.end(op.add("Tile", [op.name(0), counts]))


def gathered(op: Operation) -> None:
    if op.option("Gather", "BatchDims"):
        raise Declined("it gathers by batch")
    indices = op.store(op.array(1, "indices").astype(np.int64))
    op.end(op.add("Gather", [op.name(0), indices], axis=int(op.option("Gather", "Axis"))))


def prelu(op: Operation) -> None:
    op.end(op.add("PRelu", [op.name(0), op.store(op.array(1, "slope"))]))


def dequantized(op: Operation) -> None:
    """16-bit weights become 32-bit constants."""
    op.writer.known[op.outputs[0]] = op.array(0, "input")


WRITERS: dict[str, Callable[[Operation], None]] = {
    "ABS": unary("Abs"),
    "ADD": arithmetic("Add", "Add"),
    "ADD_N": of_all("Sum"),
    "AVERAGE_POOL_2D": pooling,
    "CEIL": unary("Ceil"),
    "CONCATENATION": concatenation,
    "CONV_2D": convolution,
    "COS": unary("Cos"),
    "DEPTHWISE_CONV_2D": convolution,
    "DEPTH_TO_SPACE": rearranged("DepthToSpace", "DepthToSpace", mode="DCR"),
    "DEQUANTIZE": dequantized,
    "DIV": arithmetic("Div", "Div"),
    "ELU": unary("Elu"),
    "EQUAL": of_all("Equal"),
    "EXP": unary("Exp"),
    "EXPAND_DIMS": expanded,
    "FLOOR": unary("Floor"),
    "FULLY_CONNECTED": fully_connected,
    "GATHER": gathered,
    "GELU": gelu,
    "GREATER": of_all("Greater"),
    "GREATER_EQUAL": of_all("GreaterOrEqual"),
    "HARD_SWISH": unary("HardSwish"),
    "L2_NORMALIZATION": normalized,
    "LEAKY_RELU": leaky_relu,
    "LESS": of_all("Less"),
    "LESS_EQUAL": of_all("LessOrEqual"),
    "LOG": unary("Log"),
    "LOGICAL_AND": of_all("And"),
    "LOGICAL_NOT": of_all("Not"),
    "LOGICAL_OR": of_all("Or"),
    "LOGISTIC": unary("Sigmoid"),
    "LOG_SOFTMAX": unary("LogSoftmax", axis=-1),
    "MAXIMUM": of_all("Max"),
    "MAX_POOL_2D": pooling,
    "MEAN": mean,
    "MINIMUM": of_all("Min"),
    "MUL": arithmetic("Mul", "Mul"),
    "NEG": unary("Neg"),
    "PAD": padded,
    "PADV2": padded,
    "POW": of_all("Pow"),
    "PRELU": prelu,
    "REDUCE_MAX": reduced("ReduceMax"),
    "REDUCE_MIN": reduced("ReduceMin"),
    "RELU": unary("Relu"),
    "RELU6": clip(0.0, 6.0),
    "RELU_N1_TO_1": clip(-1.0, 1.0),
    "RESHAPE": reshaped,
    "RESIZE_BILINEAR": resized("linear", "ResizeBilinear"),
    "RESIZE_NEAREST_NEIGHBOR": resized("nearest", "ResizeNearestNeighbor"),
    "ROUND": unary("Round"),
    "RSQRT": reciprocal_square_root,
    "SELECT": of_all("Where"),
    "SELECT_V2": of_all("Where"),
    "SIN": unary("Sin"),
    "SLICE": sliced,
    "SOFTMAX": softmax,
    "SPACE_TO_DEPTH": rearranged("SpaceToDepth", "SpaceToDepth"),
    "SPLIT": split,
    "SQRT": unary("Sqrt"),
    "SQUARE": squared,
    "SQUARED_DIFFERENCE": squared,
    "SQUEEZE": squeezed,
    "STRIDED_SLICE": sliced,
    "SUB": arithmetic("Sub", "Sub"),
    "SUM": reduced("ReduceSum"),
    "TANH": unary("Tanh"),
    "TILE": tiled,
    "TRANSPOSE": transposed,
    "TRANSPOSE_CONV": transposed_convolution,
}
