# SPDX-License-Identifier: Apache-2.0
"""Companding (ops/compand.py) in an ONNX file: node Compand of domain "tinytailor", and a function
of the file that says the same in standard operators, so that any runtime computes it.

    x int16 (1, C, T, W)      Compand(step, segmented, zero_point)
    source int64 (K,)         -> int8 (1, K, ceil(T / step), W) -> DequantizeLinear -> ...
    offset int32 (K,)
    slope, base int32 (K, 16), or (K, 1) where it is not segmented

The function is exact in int32: no sum leaves it and none is negative, so that quotients are rounded
down. What one step of the samples is in real numbers is in the metadata of the file, ``SAMPLES``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    from onnx import FunctionProto, NodeProto, OperatorSetIdProto, TensorProto

DOMAIN, NAME, VERSION = "tinytailor", "Compand", 1
OPSET = 17
INPUTS = ("source", "offset", "slope", "base")  # behind the samples
ATTRIBUTES = ("step", "segmented", "zero_point")
SAMPLES = "tinytailor.samples"  # the key in a model's metadata

_FUNCTION = """\
<domain: "tinytailor", opset_import: ["": %d]>
Compand <step, segmented, zero_point> (x, source, offset, slope, base) => (y)
{
    zero = Constant <value_int = 0> ()
    one = Constant <value_int = 1> ()
    front = Constant <value_ints = [0]> ()
    back = Constant <value_ints = [-1]> ()
    time = Constant <value_ints = [2]> ()
    end = Constant <value_ints = [9223372036854775807]> ()
    around_channels = Constant <value_ints = [0, 2, 3]> ()
    step_number = Constant <value_int: int = @step> ()
    steps = Unsqueeze (step_number, front)
    numbers = Cast <to = 6> (x)
    sources = Gather <axis = 1> (numbers, source)
    taken = Slice (sources, front, end, time, steps)
    offsets = Unsqueeze (offset, around_channels)
    t = Sub (taken, offsets)

    most = Constant <value = int32 {32767}> ()
    magnitude = Abs (t)
    a = Min (magnitude, most)
    octaves = Constant <value = int32[15] {%s}> ()
    beside_octaves = Unsqueeze (a, back)
    reached = GreaterOrEqual (beside_octaves, octaves)
    counted = Cast <to = 7> (reached)
    bits = ReduceSum <keepdims = 0> (counted, back)
    is_segmented = Constant <value_int: int = @segmented> ()
    e = Mul (bits, is_segmented)

    sizes = Shape (slope)
    filters = Gather (sizes, zero)
    columns = Gather (sizes, one)
    channels = Range (zero, filters, one)
    channel_starts = Mul (channels, columns)
    starts = Unsqueeze (channel_starts, around_channels)
    piece = Add (starts, e)
    slopes = Reshape (slope, back)
    bases = Reshape (base, back)
    slope_of_piece = Gather (slopes, piece)
    base_of_piece = Gather (bases, piece)
    product = Mul (a, slope_of_piece)
    sum = Add (product, base_of_piece)
    whole = Constant <value = int32 {65536}> ()
    level = Div (sum, whole)

    nothing = Constant <value = int32 {0}> ()
    is_below = Less (t, nothing)
    opposite = Neg (level)
    signed = Where (is_below, opposite, level)
    zero_point_number = Constant <value_int: int = @zero_point> ()
    zero_point_int32 = Cast <to = 6> (zero_point_number)
    moved = Add (zero_point_int32, signed)
    low = Constant <value = int32 {-128}> ()
    high = Constant <value = int32 {127}> ()
    clipped = Clip (moved, low, high)
    y = Cast <to = 3> (clipped)
}
"""


def compand_function(opset: int = OPSET) -> FunctionProto:
    """The meaning of a Compand node, for ``model.functions``; ``opset`` is that of the model, 13 or
    more, which imports ``opset_import()`` besides."""
    from onnx.parser import parse_function

    octaves = ", ".join(str(1 << i) for i in range(15))
    return parse_function(_FUNCTION % (opset, octaves))


def opset_import() -> OperatorSetIdProto:
    from onnx import helper

    return helper.make_opsetid(DOMAIN, VERSION)


def compand_attributes(step: int, segmented: bool, zero_point: int) -> dict[str, int]:
    """Of the node, by name."""
    return dict(zip(ATTRIBUTES, (step, int(segmented), zero_point), strict=True))


def compand_node(
    x: str,
    constants: Mapping[str, str],
    output: str,
    *,
    step: int,
    segmented: bool,
    zero_point: int,
    name: str = "",
) -> NodeProto:
    """A node that reads the samples ``x``; ``constants``: names of the initializers by role."""
    from onnx import helper

    inputs = [x, *(constants[role] for role in INPUTS)]
    node = helper.make_node(NAME, inputs, [output], name or output, domain=DOMAIN)
    pairs = compand_attributes(step, segmented, zero_point).items()
    node.attribute.extend(helper.make_attribute(role, value) for role, value in pairs)
    return node


def compand_constants(constants: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``constants`` of the operator in the types that the node reads, by role."""
    return {
        role: constants[role].astype(np.int64 if role == "source" else np.int32) for role in INPUTS
    }


def compand_initializers(name: str, constants: Mapping[str, np.ndarray]) -> dict[str, TensorProto]:
    """``constants`` of the operator as initializers ``name``.role, of the types that the node
    reads; by role."""
    from onnx import numpy_helper

    return {
        role: numpy_helper.from_array(value, f"{name}.{role}")
        for role, value in compand_constants(constants).items()
    }


def samples_metadata(step: Sequence[float]) -> dict[str, str]:
    """What the metadata say of an int16 input: what one step of it is, for each of its channels or
    one for all."""
    return {SAMPLES: json.dumps({"step": [float(value) for value in step]})}


def steps_of(metadata: Mapping[str, str], channels: int, file: str) -> np.ndarray | None:
    """float32 (channels,) or (1,) from the metadata of the model ``file``; None where they say
    nothing."""
    if SAMPLES not in metadata:
        return None
    try:
        values: Any = json.loads(metadata[SAMPLES])["step"]
        steps = np.array([float(value) for value in values], np.float32)
        sound = steps.size in (1, channels) and all(0 < float(s) < math.inf for s in steps)
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise InputError(
            f"{file}: its metadata {SAMPLES} are {metadata[SAMPLES]!r}, expected "
            f'{{"step": [...]}} with one positive number or {channels}, one for each channel of '
            "its int16 input"
        )
    return steps
