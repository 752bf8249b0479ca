# SPDX-License-Identifier: Apache-2.0
"""TFLite operators that are written in our own terms instead of TVM's.

Each function gets TVM's converter and the operator and returns Relax expressions, one for each
output. Whatever must be constant is read here; ValueError says what is not as it should be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.onnx.operators import shape_of, take
from tinytailor.compiler.frontend.rules import extremum


def operand(converter: Any, operator: Any, index: int) -> Any:
    """Input ``index`` as an expression of a known shape."""
    tensor = converter.get_input_tensors(operator)[index]
    return converter.bb.normalize(converter.get_tensor_expr(tensor))


def constant(converter: Any, operator: Any, index: int, name: str) -> np.ndarray:
    tensor = converter.get_input_tensors(operator)[index]
    if converter.has_expr(tensor.tensor_idx):
        raise ValueError(f"its {name} is computed by the model, expected a constant")
    return np.asarray(converter.get_tensor_value(tensor))


def options(operator: Any, name: str) -> Any:
    """The operator's table of options, of the type ``name``."""
    import tflite

    table, raw = getattr(tflite, name)(), operator.BuiltinOptions()
    if raw is None:
        raise ValueError(f"it has no {name}")
    table.Init(raw.Bytes, raw.Pos)
    return table


def slice_(converter: Any, operator: Any) -> list[Any]:
    x = operand(converter, operator, 0)
    begin = constant(converter, operator, 1, "begin").tolist()
    size = constant(converter, operator, 2, "size").tolist()
    parts = zip(begin, size, shape_of(x), strict=True)
    places = {i: range(b, whole if n < 0 else b + n) for i, (b, n, whole) in enumerate(parts)}
    return [take(x, places)]


def strided_slice(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    x, found = operand(converter, operator, 0), options(operator, "StridedSliceOptions")
    if found.EllipsisMask() or found.NewAxisMask():
        raise ValueError("it has an ellipsis or a new axis, expected one range for each axis")
    names = ("begin", "end", "strides")
    numbers = [constant(converter, operator, i + 1, name) for i, name in enumerate(names)]
    sizes = shape_of(x)
    places, kept = {}, list(range(len(sizes)))
    for axis, (begin, end, step) in enumerate(zip(*numbers, strict=True)):
        if found.ShrinkAxisMask() >> axis & 1:
            places[axis] = range(sizes[axis])[begin:][:1]
            kept.remove(axis)
            continue
        first = None if found.BeginMask() >> axis & 1 else int(begin)
        last = None if found.EndMask() >> axis & 1 else int(end)
        places[axis] = range(sizes[axis])[first : last : int(step)]
    taken = take(x, places)
    if len(kept) == len(sizes):
        return [taken]
    return [relax.op.reshape(taken, [len(places.get(axis, range(sizes[axis]))) for axis in kept])]


def split(converter: Any, operator: Any) -> list[Any]:
    """Into as many equal parts as there are outputs."""
    x = operand(converter, operator, 1)
    axis = int(constant(converter, operator, 0, "axis").reshape(-1)[0]) % len(shape_of(x))
    count = operator.OutputsLength()
    if shape_of(x)[axis] % count:
        raise ValueError(f"axis {axis} of {shape_of(x)} has no {count} equal parts")
    return parts_of(x, axis, [shape_of(x)[axis] // count] * count)


def split_v(converter: Any, operator: Any) -> list[Any]:
    x = operand(converter, operator, 0)
    lengths = constant(converter, operator, 1, "sizes").reshape(-1).tolist()
    axis = int(constant(converter, operator, 2, "axis").reshape(-1)[0]) % len(shape_of(x))
    rest = shape_of(x)[axis] - sum(n for n in lengths if n >= 0)
    return parts_of(x, axis, [rest if n < 0 else n for n in lengths])


def parts_of(x: Any, axis: int, lengths: list[int]) -> list[Any]:
    ends = np.cumsum(lengths)
    return [take(x, {axis: range(e - n, e)}) for e, n in zip(ends, lengths, strict=True)]


def unpack(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    x = operand(converter, operator, 0)
    sizes = shape_of(x)
    axis = options(operator, "UnpackOptions").Axis() % len(sizes)
    rest = [*sizes[:axis], *sizes[axis + 1 :]]
    parts = parts_of(x, axis, [1] * sizes[axis])
    return [relax.op.reshape(converter.bb.normalize(part), rest) for part in parts]


def pack(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    count = operator.InputsLength()
    parts = [operand(converter, operator, index) for index in range(count)]
    axis = options(operator, "PackOptions").Axis() % (len(shape_of(parts[0])) + 1)
    shape = (*shape_of(parts[0])[:axis], 1, *shape_of(parts[0])[axis:])
    return [relax.op.concat([relax.op.reshape(part, shape) for part in parts], axis)]


def gather(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    x, found = operand(converter, operator, 0), options(operator, "GatherOptions")
    if found.BatchDims():
        raise ValueError("it gathers by batch")
    sizes, indices = shape_of(x), constant(converter, operator, 1, "indices")
    axis = found.Axis() % len(sizes)
    taken = take(x, {axis: indices.reshape(-1).tolist()})
    if indices.ndim == 1:
        return [taken]
    return [relax.op.reshape(taken, (*sizes[:axis], *indices.shape, *sizes[axis + 1 :]))]


def reverse(converter: Any, operator: Any) -> list[Any]:
    x = operand(converter, operator, 0)
    sizes = shape_of(x)
    axes = constant(converter, operator, 1, "axis").reshape(-1).tolist()
    return [take(x, {axis % len(sizes): range(sizes[axis])[::-1] for axis in axes})]


def tile(converter: Any, operator: Any) -> list[Any]:
    x = operand(converter, operator, 0)
    repeats = constant(converter, operator, 1, "multiples").reshape(-1).tolist()
    pairs = enumerate(zip(shape_of(x), repeats, strict=True))
    return [take(x, {axis: list(range(size)) * times for axis, (size, times) in pairs})]


def mirror_pad(converter: Any, operator: Any) -> list[Any]:
    """Mode 0 reflects about the edge, mode 1 repeats it."""
    x = operand(converter, operator, 0)
    mode: Any = ("reflect", "symmetric")[options(operator, "MirrorPadOptions").Mode()]
    widths = constant(converter, operator, 1, "paddings").tolist()
    pairs = enumerate(zip(shape_of(x), widths, strict=True))
    return [take(x, {axis: np.pad(np.arange(n), w, mode=mode) for axis, (n, w) in pairs})]


def resize_nearest(converter: Any, operator: Any) -> list[Any]:
    x, found = operand(converter, operator, 0), options(operator, "ResizeNearestNeighborOptions")
    wanted = constant(converter, operator, 1, "size").reshape(-1).tolist()
    corners, centers = found.AlignCorners(), found.HalfPixelCenters()
    places: dict[int, Any] = {
        axis: nearest(size, count, corners, centers)
        for axis, size, count in zip((1, 2), shape_of(x)[1:3], wanted, strict=True)
    }
    return [take(x, places)]


def nearest(size: int, count: int, corners: bool, centers: bool) -> np.ndarray:
    """The source of each of ``count`` elements, in float32 as LiteRT computes it."""
    whole = np.float32(size)
    scale = whole / np.float32(count)
    if corners and count > 1:
        scale = (whole - np.float32(1)) / np.float32(count - 1)
    x = (np.arange(count, dtype=np.float32) + np.float32(0.5 if centers else 0)) * scale
    rounded = np.floor(x + np.float32(0.5)) if corners else np.floor(x)
    return np.clip(rounded, 0, size - 1).astype(np.int64)


def real(converter: Any, operator: Any, index: int) -> Any:
    """Input ``index``, dequantized."""
    tensor = converter.get_input_tensors(operator)[index]
    expression = operand(converter, operator, index)
    return converter.dequantize(expression, tensor) if tensor.qnn_params else expression


def quantized(converter: Any, operator: Any, result: Any) -> list[Any]:
    tensor = converter.get_output_tensors(operator)[0]
    return [converter.quantize(result, tensor) if tensor.qnn_params else result]


def elu(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    x, one = real(converter, operator, 0), relax.const(np.float32(1))
    zero = relax.const(np.float32(0))
    below = relax.op.minimum(relax.op.subtract(relax.op.exp(x), one), zero)
    return quantized(converter, operator, relax.op.add(relax.op.maximum(x, zero), below))


def gelu(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    nn = relax.op.nn
    function = nn.gelu_tanh if options(operator, "GeluOptions").Approximate() else nn.gelu
    return quantized(converter, operator, function(real(converter, operator, 0)))


def square(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    return quantized(converter, operator, relax.op.square(real(converter, operator, 0)))


def prelu(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    x, slope = (converter.bb.emit(real(converter, operator, index)) for index in (0, 1))
    result = relax.op.call_dps_packed(extremum.PRELU, relax.Tuple([x, slope]), x.ty)
    return quantized(converter, operator, result)


Conversion = Callable[[Any, Any], list[Any]]
CONVERSIONS: dict[str, Conversion] = {
    "ELU": elu,
    "GATHER": gather,
    "GELU": gelu,
    "MIRROR_PAD": mirror_pad,
    "PACK": pack,
    "PRELU": prelu,
    "RESIZE_NEAREST_NEIGHBOR": resize_nearest,
    "REVERSE_V2": reverse,
    "SLICE": slice_,
    "SPLIT": split,
    "SPLIT_V": split_v,
    "SQUARE": square,
    "STRIDED_SLICE": strided_slice,
    "TILE": tile,
    "UNPACK": unpack,
}
