# SPDX-License-Identifier: Apache-2.0
"""One pass over the calls of an imported model, building the integer graph.

Each call is looked up in ``match.MATCHES`` and becomes a value (values.py). A match that raises
``Declined`` is noted with its operator, and the walk goes on behind it, so that one error can list
everything that stands in the way. ``quantize`` is where an expression becomes a node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, prod
from typing import Any

import numpy as np

from tinytailor.compiler.frontend import float_calls
from tinytailor.compiler.frontend.layout import arranged
from tinytailor.compiler.frontend.names import Names
from tinytailor.compiler.frontend.relax_calls import Call, Input, Listing, Ref
from tinytailor.compiler.frontend.report import (
    Declined,
    Origin,
    Unsupported,
    unsupported_error,
)
from tinytailor.compiler.frontend.values import (
    MAP_LAYOUTS,
    Activation,
    Constant,
    Expression,
    FloatInput,
    Fused,
    Indices,
    Pointwise,
    Unknown,
    Value,
    map_order,
    map_shape,
    row_major,
)
from tinytailor.compiler.ir import Graph, Node, Shape, Tensor, check
from tinytailor.compiler.ops import Reshape
from tinytailor.targets.errors import InputError

MAX_ELEMENTS = 1 << 24  # of one activation: more fits no device, and a damaged file may ask for it
TRANSPARENT = ("relax.quantize", "relax.dequantize")
UNQUANTIZED = (
    "quantize in QDQ form, compile the float model with --calibration, or put QuantizeLinear, "
    "DequantizeLinear"
)
Quantization = tuple[float, int]


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """What onnx.py and tflite.py hand over."""

    name: str
    listing: Listing
    channels_first: bool
    input_quantization: Mapping[str, Quantization] = field(default_factory=dict)
    unsupported: Sequence[Unsupported] = ()


class Walk:
    """The graph under construction; with ``allow_float``, float operators may be part of it."""

    def __init__(self, model: Imported, allow_float: bool = False) -> None:
        self.model = model
        self.allow_float = allow_float
        self.names = Names()
        self.tensors: dict[str, Tensor] = {}
        self.placeholders: set[str] = set()  # stand for what follows a refused operator
        self.unquantized: set[str] = set()  # integer inputs whose scale is not known yet
        self.nodes: list[Node] = []
        self.inputs: dict[str, str] = {}  # the model's name -> ours
        self.transposed: dict[tuple[str, bytes], str] = {}  # what layout.arranged made already
        self.ranged: set[int] = set()  # calls that implied_ranges.py gave a scale of their own
        self.unsupported = list(model.unsupported)
        self.uses = Counter(ref.index for call in model.listing.calls for ref in refs(call))
        self.uses.update(ref.index for ref in model.listing.outputs if isinstance(ref, Ref))
        self.values: dict[int, Value] = {}

    # --- what the matches use -------------------------------------------------------------

    def argument(self, argument: Any) -> Value:
        if isinstance(argument, Ref):
            return self.values[argument.index]
        if isinstance(argument, np.ndarray):
            return Constant(argument)
        raise Declined(f"an argument {argument!r} is no tensor")

    def activation(self, argument: Any) -> Activation:
        """The int8 tensor behind an argument that should be one."""
        value = self.settled(argument)
        if isinstance(value, Activation):
            return value
        if isinstance(value, Unknown):
            raise Declined("")
        if isinstance(value, Constant):
            raise Declined("expected an activation, got a constant")
        if isinstance(value, Indices):
            raise Declined("it computes with indices, which can only be an output of the model")
        if isinstance(value, FloatInput):
            raise Declined(
                f"input {value.name} is not quantized before it: do this step outside of the model "
                "(give parts an input each), or compile the float model with --calibration"
            )
        raise Declined(f"its input is not quantized: {UNQUANTIZED} before it")

    def settled(self, argument: Any) -> Value:
        """The value behind an argument; real numbers as a tensor where implied_ranges knows how."""
        from tinytailor.compiler.frontend import implied_ranges

        return implied_ranges.settled(self, argument)

    def constant(self, argument: Any, role: str) -> Constant:
        value = self.argument(argument)
        if not isinstance(value, Constant):
            raise Declined(f"its {role} is computed by the model, expected a constant")
        return value

    def as_map(self, value: Activation, layout: str) -> Tensor:
        """The tensor as (1, height, width, channels), transposed in memory if it lies otherwise."""
        if layout not in MAP_LAYOUTS or len(layout) != len(value.shape):
            raise Declined(f"a map of shape {value.shape} in layout {layout} is not supported")
        value = arranged(self, value, map_order(value.shape, layout))
        return self.as_shape(value, map_shape(value.shape, layout))

    def as_shape(self, value: Activation | Indices, shape: Shape) -> Tensor:
        """The tensor in another shape over the same memory (a Reshape node if it differs)."""
        tensor = self.tensors[value.tensor]
        if tensor.shape == shape:
            return tensor
        name = self.names.fresh("reshape", "reshape")
        self.tensors[name] = replace(tensor, name=name, shape=shape)
        self.nodes.append(Node(name, Reshape(shape), (tensor.name,), name))
        return self.tensors[name]

    def emit(self, expression: Expression, fused: Fused, dtype_offset: int) -> Activation:
        """Append the node of ``expression``; its output is an activation."""
        try:
            op, inputs, constants = expression.finish(fused)
        except Declined as reason:
            raise Declined(str(reason), expression.origin) from None
        name = fused.y.name
        self.tensors[name] = fused.y
        self.nodes.append(Node(name, op, inputs, name, dict(constants)))
        return Activation(name, expression.shape, expression.order, False, dtype_offset)

    def new_name(self, origin: Origin) -> str:
        return self.names.fresh(origin.label, origin.operator.lower())

    def graph_input(self, value: FloatInput, scale: float, zero_point: int) -> str:
        """The tensor of an input; every QuantizeLinear of it must agree."""
        if value.name not in self.inputs:
            name = self.inputs[value.name] = self.names.fresh(value.name, "input")
            self.tensors[name] = Tensor(name, value.device, "int8", scale, zero_point)
        tensor = self.tensors[self.inputs[value.name]]
        if not same_quantization((tensor.scale, tensor.zero_point), (scale, zero_point)):
            raise Declined(f"input {value.name} is quantized twice, with different scales")
        return tensor.name

    # --- the pass -------------------------------------------------------------------------

    def run(self) -> Graph:
        for index, parameter in enumerate(self.model.listing.inputs):
            try:
                self.values[-1 - index] = self.start(parameter, index)
            except Declined as reason:  # two inputs of one name
                raise InputError(f"model {self.model.name}: {reason}") from None
        for index, call in enumerate(self.model.listing.calls):
            try:
                self.values[index] = self.matched(index, call)
            except Declined as reason:
                if str(reason):
                    origin = reason.origin or call.origin
                    self.unsupported.append(Unsupported(origin, str(reason)))
                self.values[index] = Unknown(call.shape)
        outputs = [self.placed_output(item) for item in self.model.listing.outputs]
        if self.unsupported:
            raise unsupported_error(self.unsupported)
        return self.finished([name for name in outputs if name is not None])

    def matched(self, index: int, call: Call) -> Value:
        """The value of a call, a float one only if nothing else fits and they are allowed."""
        from tinytailor.compiler.frontend.rules.table import MATCHES

        if float_calls.is_float(self, call):
            value: Value | None = float_calls.deferred(self, index, call)
            if value is None:
                raise Declined("it follows an operator in float, but does not compute in float")
            return value
        try:
            match = MATCHES.get(call.operator)
            if match is None:
                raise Declined(self.reason(call))
            if prod(call.shape) > MAX_ELEMENTS:
                raise Declined(f"its result of shape {call.shape} fits no device")
            value = match(call, self)
        except Declined:
            value = float_calls.deferred(self, index, call) if self.allow_float else None
            if value is None:
                raise
        if isinstance(value, Expression | Pointwise) and value.origin is None:
            value = replace(value, origin=call.origin)
        return value

    def reason(self, call: Call) -> str:
        """Why a call without a match cannot be imported; "" if that is already in the report."""
        if call.operator in {item.origin.operator for item in self.unsupported}:
            return ""
        name = call.operator.removeprefix("relax.")
        same = name.lower() == call.origin.operator.lower()
        return "" if same else f"it becomes {name}, which no operator computes"

    def start(self, parameter: Input, index: int) -> Value:
        """An input of the model; maps of channels-first models lie channels-last on the device."""
        shape, dtype = parameter.shape, parameter.dtype
        if prod(shape) > MAX_ELEMENTS or prod(shape) < 1:
            raise InputError(f"input {parameter.name} has shape {shape}, which fits no device")
        order, device = row_major(shape), shape
        layout = {3: "NCW", 4: "NCHW"}.get(len(shape), "")
        if self.model.channels_first and layout and not self.only_moved(-1 - index):
            order, device = map_order(shape, layout), map_shape(shape, layout)
        value = FloatInput(parameter.name, shape, order, device)
        if dtype == "float32":
            return value
        if dtype not in ("int8", "uint8"):
            raise InputError(f"input {parameter.name} is {dtype}; expected float32, int8 or uint8")
        offset = 128 if dtype == "uint8" else 0
        scale, zero_point = self.model.input_quantization.get(parameter.name, (1.0, offset))
        tensor = self.graph_input(value, scale, zero_point - offset)
        if parameter.name not in self.model.input_quantization:
            self.unquantized.add(tensor)
        return Activation(tensor, shape, order, False, offset)

    def only_moved(self, index: int) -> bool:
        """Whether the model first reshapes or transposes a value, or multiplies its rows."""
        users = [
            (place, call)
            for place, call in enumerate(self.model.listing.calls)
            if Ref(index) in refs(call)
        ]
        moves, rows = ("relax.permute_dims", "relax.reshape"), ("relax.matmul", Ref(index))
        return bool(users) and all(
            self.only_moved(place)
            if call.operator in TRANSPARENT
            else call.operator in moves or (call.operator, call.arguments[0]) == rows
            for place, call in users
        )

    def placed_output(self, item: Any) -> str | None:
        """The tensor of an output; None where something on the way to it is in the report."""
        try:
            return self.output(item)
        except Declined as reason:
            origin = self.model.listing.calls[item.index].origin
            self.unsupported.append(Unsupported(origin, str(reason)))
            return None

    def output(self, item: Any) -> str | None:
        """Maps lie channels-last, all other outputs in the order of the model."""
        value = self.settled(item) if not isinstance(item, tuple) else None
        if isinstance(value, Unknown):
            return None
        if isinstance(value, Indices):
            if not np.array_equal(value.order, row_major(value.shape)):
                raise Declined("its indices would have to be transposed, which has no operator")
            shape = value.shape if value.shape[:1] == (1,) else (1, *value.shape)
            return self.as_shape(value, shape).name
        if not isinstance(value, Activation):
            raise self.float_output(item)
        shape, channels_first = value.shape, self.model.channels_first and len(value.shape) == 4
        if channels_first and not np.array_equal(value.order, row_major(shape)):
            return self.as_map(value, "NCHW").name
        placed = arranged(self, value, row_major(shape))
        return self.as_shape(placed, shape if shape[:1] == (1,) else (1, *shape)).name

    def float_output(self, item: Any) -> InputError:
        calls = self.model.listing.calls
        if isinstance(item, Ref) and item.index >= 0:
            origin = calls[item.index].origin
            hint = f"its result is not quantized: {UNQUANTIZED} after it"
            return unsupported_error([*self.unsupported, Unsupported(origin, hint)])
        return InputError(f"model {self.model.name}: an output is not computed from its inputs")

    def finished(self, outputs: Sequence[str]) -> Graph:
        for name in self.unquantized:
            raise InputError(f"input {name} is an integer tensor without DequantizeLinear")
        if len(set(outputs)) < len(outputs):
            twice = next(name for name in outputs if outputs.count(name) > 1)
            raise InputError(
                f"model {self.model.name}: two outputs are the same tensor {twice}; remove one"
            )
        nodes = live(self.nodes, outputs)
        used = {name for node in nodes for name in node.inputs} | set(outputs)
        inputs = []
        for parameter in self.model.listing.inputs:
            entry = self.inputs.get(parameter.name)
            if entry is None or entry not in used:
                raise InputError(f"input {parameter.name} does not reach an output; remove it")
            inputs.append(entry)
        tensors = {n: t for n, t in self.tensors.items() if n in used}
        made_from = Counter(c.operator.removeprefix("relax.") for c in self.model.listing.calls)
        borders = tuple(inputs), tuple(outputs)
        return check(Graph(self.model.name, *borders, tensors, tuple(nodes), made_from))


def live(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """The nodes that an output depends on, in order."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def refs(call: Call) -> Iterator[Ref]:
    """The results a call reads, those of a tuple included."""
    for argument in call.arguments:
        for item in argument if isinstance(argument, tuple) else (argument,):
            if isinstance(item, Ref):
                yield item


def same_quantization(a: Quantization, b: Quantization) -> bool:
    return a[1] == b[1] and np.float32(a[0]) == np.float32(b[0])


def integer_bounds(low: float, high: float, scale: float, zero_point: int) -> tuple[int, int]:
    """Real bounds of an activation function, quantized like any other number (half to even)."""

    def quantize(bound: float, limit: int) -> int:
        if abs(bound) == inf:
            return limit
        value = np.rint(np.float32(bound) / np.float32(scale)) + zero_point
        return int(min(127, max(-128, value)))

    return quantize(low, -128), quantize(high, 127)
