# SPDX-License-Identifier: Apache-2.0
"""Addition, activation functions and softmax."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from tinytailor.compiler.frontend import pointwise
from tinytailor.compiler.frontend.bindings import Call, Ref
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.values import (
    MAP_LAYOUTS,
    Activation,
    Constant,
    Expression,
    Finished,
    Fused,
    Pointwise,
    Unknown,
    Value,
    map_order,
)
from tinytailor.compiler.frontend.walk import TRANSPARENT, Walk, integer_bounds
from tinytailor.compiler.ir import Tensor
from tinytailor.compiler.ops import Add, AddConstant, Mul, Softmax
from tinytailor.compiler.ops.softmax import exponentials, output_levels


def add(call: Call, walk: Walk) -> Value:
    """Two activations, a bias, or a function of single elements."""
    if is_pointwise(call, walk) and (result := pointwise.binary(call, walk, np.add)) is not None:
        return result
    a, b = (walk.argument(argument) for argument in call.arguments)
    if isinstance(a, Unknown) or isinstance(b, Unknown):
        return Unknown(call.shape)
    for value, other in ((a, b), (b, a)):
        if isinstance(value, Expression) and isinstance(other, Constant):
            return biased(value, other)
    if isinstance(a, Constant) or isinstance(b, Constant):
        return shifted(call, walk)
    return sum_of(call, walk)


def shifted(call: Call, walk: Walk, sign: int = 1) -> Expression:
    """A constant per channel added to a quantized tensor; ``sign`` -1 negates the second."""
    first = isinstance(walk.argument(call.arguments[0]), Constant)
    a = walk.activation(call.arguments[int(first)])
    real = walk.constant(call.arguments[int(not first)], "constant").real
    if a.shape != call.shape:
        raise Declined(f"it broadcasts {a.shape} to {call.shape}, which has no operator")
    source = walk.tensors[a.tensor]
    placed = np.broadcast_to(real, call.shape).ravel()[a.order].reshape(-1, source.shape[-1])
    if np.any(placed != placed[0]):  # also where it is not a number
        raise Declined(f"it adds a constant of shape {real.shape}, expected one number per channel")
    constant = placed[0] if first else sign * placed[0]

    def finish(fused: Fused) -> Finished:
        op, bias = AddConstant.from_scales(
            source, constant, fused.y, fused.low, fused.high, sign if first else 1
        )
        return op, (source.name,), {"bias": bias}

    return Expression(call.shape, a.order, source.shape, finish)


def biased(value: Expression, constant: Constant) -> Expression:
    axis = value.bias_axis
    if axis is None or value.bias is not None:
        raise Declined("it adds a constant where no layer can take it as its bias")
    aligned = (1,) * (len(value.shape) - len(constant.shape)) + constant.shape
    expected = tuple(size if place == axis else 1 for place, size in enumerate(value.shape))
    if aligned != expected and constant.array.size != 1:
        raise Declined(f"a bias of shape {constant.shape}, expected one number per channel")
    return replace(value, bias=constant)


def sum_of(call: Call, walk: Walk, sign: int = 1) -> Expression:
    a, b = (walk.activation(argument) for argument in call.arguments)
    if a.shape != b.shape:
        raise Declined(
            f"its inputs have the shapes {a.shape} and {b.shape}; broadcasting is not supported"
        )
    left, right = equal_places(walk, a, b)

    def finish(fused: Fused) -> Finished:
        op = Add.from_scales(left, right, fused.y, fused.low, fused.high, sign)
        return op, (left.name, right.name), {}

    return Expression(call.shape, a.order, left.shape, finish)


def equal_places(walk: Walk, a: Activation, b: Activation) -> tuple[Tensor, Tensor]:
    """Two tensors of one shape of the model, as tensors of one shape of the device."""
    guessed = walk.placeholders & {a.tensor, b.tensor}
    if not guessed and not np.array_equal(a.order, b.order):
        raise Declined("its inputs lie in memory in different layouts")
    left = walk.tensors[a.tensor]
    return left, walk.as_shape(b, left.shape)


def product_of(call: Call, walk: Walk) -> Expression:
    """Two tensors of one shape, or a map and one number for each of its channels."""
    a, b = (walk.activation(argument) for argument in call.arguments)
    if a.order.size < b.order.size:
        a, b = b, a
    if a.shape == b.shape:
        left, right = equal_places(walk, a, b)
    else:
        left, right = channel_places(walk, a, b)

    def finish(fused: Fused) -> Finished:
        op = Mul.from_scales(left, right, fused.y, fused.low, fused.high)
        return op, (left.name, right.name), {}

    return Expression(call.shape, a.order, left.shape, finish)


def channel_places(walk: Walk, a: Activation, b: Activation) -> tuple[Tensor, Tensor]:
    """A map and a row of its channels, as the model broadcasts it."""
    for layout in MAP_LAYOUTS:
        if len(layout) != len(a.shape) or b.order.size != a.shape[layout.index("C")]:
            continue
        row = tuple(a.shape[i] if letter == "C" else 1 for i, letter in enumerate(layout))
        if b.shape == row and np.array_equal(a.order, map_order(a.shape, layout)):
            return walk.as_map(a, layout), walk.as_shape(b, (1, 1, 1, b.order.size))
    raise Declined(
        f"its inputs have the shapes {a.shape} and {b.shape}; expected equal ones, or one number "
        "per channel of a map"
    )


def is_pointwise(call: Call, walk: Walk) -> bool:
    """Whether an argument is a function of single elements already, or a number."""
    values = [walk.argument(argument) for argument in call.arguments[:2]]
    return any(
        isinstance(value, Pointwise) or (isinstance(value, Constant) and value.array.size == 1)
        for value in values
    )


def subtract(call: Call, walk: Walk) -> Value:
    if (result := pointwise.binary(call, walk, np.subtract)) is not None:
        return result
    if any(isinstance(walk.argument(argument), Unknown) for argument in call.arguments):
        return Unknown(call.shape)
    if any(isinstance(walk.argument(argument), Constant) for argument in call.arguments):
        return shifted(call, walk, sign=-1)
    return sum_of(call, walk, sign=-1)


def multiply(call: Call, walk: Walk) -> Value:
    """Of constants (importers write s_x * s_w for the scale of a bias), by a number, of tensors."""
    if (result := pointwise.binary(call, walk, np.multiply)) is not None:
        return result
    if any(isinstance(walk.argument(argument), Unknown) for argument in call.arguments):
        return Unknown(call.shape)
    return product_of(call, walk)


def clamp(call: Call, walk: Walk) -> Value:
    """Relu, Relu6, Clip: part of the operator before, as bounds of its integers."""
    low, high = clamp_bounds(call)
    value = walk.argument(call.arguments[0])
    if isinstance(value, Unknown):
        return value
    if isinstance(value, Expression):
        return value.clamped(low, high)
    if isinstance(value, Pointwise):
        return pointwise.applied(value, lambda real: np.clip(real, low, high))
    activation = walk.activation(call.arguments[0])
    tensor = walk.tensors[activation.tensor]
    if activation.real:
        bounds = integer_bounds(low, high, tensor.scale, tensor.zero_point)
    else:
        limits = (low - activation.offset, high - activation.offset)
        bounds = (int(max(limits[0], -128)), int(min(limits[1], 127)))
    try:
        tighten(call, walk, activation, bounds)
    except Declined:
        if not activation.real:
            raise
        real = pointwise.of_activation(activation, walk)
        return pointwise.applied(real, lambda real: np.clip(real, low, high))
    return activation


def clamp_bounds(call: Call) -> tuple[float, float]:
    if call.operator != "relax.clip":
        return 0.0, 6.0 if call.operator.endswith("relu6") else inf
    low, high = (float(bound) for bound in call.arguments[1:3])
    if not low <= high:
        raise Declined(f"the bounds {low:g} and {high:g} are no interval")
    return low, high


def tighten(call: Call, walk: Walk, value: Activation, bounds: tuple[int, int]) -> None:
    """Narrow the clamp of the node that wrote ``value``, if nothing else reads it."""
    low, high = bounds
    if (low, high) == (-128, 127):
        return
    place = next((i for i, node in enumerate(walk.nodes) if node.output == value.tensor), None)
    if place is None or not read_only_by(call, walk):
        raise Declined("it follows a tensor that others read unclamped; clamp before quantizing")
    node = walk.nodes[place]
    walk.nodes[place] = replace(node, op=narrowed(node.op, low, high))


def narrowed(op: Any, low: int, high: int) -> Any:
    """The operator with its clamp, its own or its requantization's, inside low..high."""
    if hasattr(op, "requant"):
        return replace(op, requant=narrowed(op.requant, low, high))
    if not hasattr(op, "low"):
        raise Declined("the operator before it has no clamp of its own")
    return replace(op, low=min(max(op.low, low), high), high=min(max(op.high, low), high))


def read_only_by(call: Call, walk: Walk) -> bool:
    """Whether ``call`` is the only reader of its input, back to where that was quantized."""
    argument = call.arguments[0]
    while isinstance(argument, Ref) and argument.index >= 0:
        producer = walk.model.listing.calls[argument.index]
        if walk.uses[argument.index] != 1:
            return False
        if producer.operator not in (*TRANSPARENT, "relax.astype", "relax.reshape"):
            return True
        if producer.operator == "relax.quantize":
            return True
        argument = producer.arguments[0]
    return False


def softmax(call: Call, walk: Walk) -> Expression:
    x = walk.activation(call.arguments[0])
    axis = int(call.attributes["axis"]) % len(x.shape)
    classes = x.shape[axis]
    if classes != x.order.size:
        raise Declined(f"softmax of {x.shape} over axis {axis}: expected one row of classes")
    source = walk.as_shape(x, (1, classes))

    def finish(fused: Fused) -> Finished:
        if (fused.low, fused.high) != (-128, 127):
            raise Declined("a clamp after softmax")
        levels, fraction = output_levels(fused.y.scale)
        table = exponentials(source.scale, classes, fraction)
        op = Softmax(levels, fraction, fused.y.zero_point)
        return op, (source.name,), {"table": table}

    return Expression(call.shape, x.order, (1, classes), finish, known=(1 / 256, -128))
