# SPDX-License-Identifier: Apache-2.0
"""With --allow-float: calls without an integer form, and what follows them, as one float operator.

    quantize(c(b(a(dequantize(x)), dequantize(w))))

becomes one FloatOp from int8 to int8 once its quantize is reached. Going back from there, whatever
is an int8 tensor already is an input, put into the order of the model first; constants are float32
arrays of the node; calls between them are handed to TVM as they are, even those that would have had
an integer form of their own. Two quantizers behind one call compute it twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    Constant,
    Expression,
    Float,
    Pointwise,
    Unknown,
)
from tinytailor.compiler.frontend.layout import row_major, with_batch
from tinytailor.compiler.frontend.quantization import Quantization
from tinytailor.compiler.frontend.quiet import attempt
from tinytailor.compiler.frontend.relax_calls import BORDERS, Call, Ref, refs
from tinytailor.compiler.frontend.report import Declined, Origin
from tinytailor.compiler.frontend.rules.reshape import as_shape
from tinytailor.compiler.frontend.rules.transpose import arranged
from tinytailor.compiler.ir import Shape, Tensor
from tinytailor.compiler.ops.float_op import FloatOp

MAX_CALLS = 1000  # of one operator: far more than a network has between two quantizers
MAX_WORK = 1 << 24  # elements of its largest tensor


def is_float(builder: GraphBuilder, call: Call) -> bool:
    """Whether ``call`` reads what a float operator will compute."""
    found = (builder.values.get(ref.index) for ref in refs(call))
    return call.operator not in BORDERS and any(isinstance(value, Float) for value in found)


def deferred(builder: GraphBuilder, index: int, call: Call) -> Float | None:
    """The value of ``call`` if it may be part of a float operator, else None."""
    values = [builder.values.get(ref.index) for ref in refs(call)]
    usable = (Activation, Constant, Expression, Float, Pointwise)
    if call.source is None or call.dtype != "float32" or call.operator in BORDERS:
        return None
    if not all(isinstance(value, usable) for value in values):
        return None
    before = next((value for value in values if isinstance(value, Float)), None)
    return Float(index, call.shape, before.origin if before else call.origin)


def finish(
    builder: GraphBuilder, index: int, origin: Origin, quantization: Quantization, offset: int
) -> Activation:
    """The node that computes call ``index`` in float and quantizes the result."""
    program = Program(builder)
    try:
        op, inputs, arrays = program.built(index, quantization)
    except Declined as reason:
        raise Declined(str(reason), origin) from None
    y = Tensor(builder.new_name(origin), op.output, "int8", *quantization)
    builder.append(op, tuple(inputs), y, {f"c{i}": array for i, array in enumerate(arrays)})
    shape = builder.model.listing.calls[index].shape
    return Activation(y.name, shape, row_major(shape), False, offset)


@dataclass
class Program:
    """A Relax function under construction: its parameters, and what calls of the model became."""

    graph: GraphBuilder
    activations: dict[str, Any] = field(default_factory=dict)  # tensor -> parameter
    constants: list[tuple[Any, np.ndarray]] = field(default_factory=list)
    arrays: dict[Any, Any] = field(default_factory=dict)  # constant of the model -> parameter
    made: dict[int, Any] = field(default_factory=dict)
    operators: list[str] = field(default_factory=list)
    block: Any = None  # relax.BlockBuilder

    def built(
        self, index: int, quantization: Quantization
    ) -> tuple[FloatOp, list[str], list[np.ndarray]]:
        from tvm import relax

        from tinytailor.compiler.kernels.bricks.float_program import program_of

        self.block = relax.BlockBuilder()
        root = self.graph.model.listing.calls[index]
        steps = self.ordered(index)

        shape = with_batch(root.shape)

        def build() -> tuple[str, list[int]]:
            return program_of(self.function(steps, index, shape, quantization))

        made, failure = attempt(build)
        if made is None:
            raise Declined(f"it has no form in float either: {failure}")
        program, kept = made
        tensors = list(self.activations)
        inputs = [tensors[i] for i in kept if i < len(tensors)]
        arrays = [self.constants[i - len(tensors)][1] for i in kept if i >= len(tensors)]
        if not inputs:
            raise Declined("it is computed from constants alone; fold them in the model")
        op = FloatOp(
            tuple(dict.fromkeys(self.operators)),
            tuple(self.graph.tensors[name].shape for name in inputs),
            shape,
            tuple(array.shape for array in arrays),
            program,
        )
        return op, inputs, arrays

    def ordered(self, index: int) -> list[int]:
        """The calls that must be computed, in the order of the model; their inputs are ready."""
        graph, needed, waiting = self.graph, {index}, [index]
        while waiting:
            call = graph.model.listing.calls[waiting.pop()]
            if call.source is None or prod(call.shape) > MAX_WORK or len(needed) > MAX_CALLS:
                raise Declined(f"{call.origin.operator} cannot be part of a float operator")
            for ref in refs(call):
                value = graph.values[ref.index]
                if isinstance(value, Unknown):
                    raise Declined("")
                if isinstance(value, Activation) and not value.real:
                    raise Declined("it computes with integers that stand for real numbers")
                ranged = ref.index in graph.ranged  # better not rounded at all
                if isinstance(value, Activation) and not ranged:
                    self.activation(ref.index, value)
                elif isinstance(value, Activation | Expression | Pointwise | Float):
                    if ref.index not in needed:
                        needed.add(ref.index)
                        waiting.append(ref.index)
                elif not isinstance(value, Constant):
                    raise Declined("its input is not quantized")
        return sorted(needed)

    def activation(self, index: int, value: Activation) -> None:
        """Note an int8 tensor, in the model's order, as a parameter of its own."""
        from tvm import relax

        if index in self.made:
            return
        placed = arranged(self.graph, value, row_major(value.shape))
        tensor = as_shape(self.graph, placed, with_batch(value.shape))
        if tensor.name not in self.activations:
            name = f"x{len(self.activations)}"
            self.activations[tensor.name] = relax.Var(name, relax.TensorType(tensor.shape, "int8"))
        self.made[index] = (tensor, value.shape)

    def function(
        self, steps: list[int], index: int, shape: Shape, quantization: Quantization
    ) -> Any:
        from tvm import relax

        calls = self.graph.model.listing.calls
        for step in steps:  # constants become parameters, which come before the body
            for ref in refs(calls[step]):
                self.constant(ref.index)
            self.literals(calls[step].source)
        parameters = [*self.activations.values(), *(variable for variable, _ in self.constants)]
        with self.block.function("main", parameters):
            with self.block.dataflow():
                self.dequantize()
                for step in steps:
                    self.made[step] = self.emit(self.rebuilt(calls[step].source))
                    self.operators.append(calls[step].origin.operator)
                value = self.emit(relax.op.reshape(self.made[index], shape))
                result = self.block.emit_output(self.emit(quantized(value, *quantization)))
            self.block.emit_func_output(result)
        return self.block.get()["main"]

    def emit(self, expression: Any) -> Any:
        return self.block.emit(self.block.normalize(expression))

    def constant(self, index: int) -> None:
        """The real numbers of a constant: a parameter, or a literal if it is one number."""
        from tvm import relax

        value = self.graph.values[index]
        if index in self.made or not isinstance(value, Constant):
            return
        array = value.array if value.scale is None else value.real.astype(np.float32)
        if array.dtype != np.float32 or array.size == 1:
            self.made[index] = relax.const(array)
            return
        self.made[index] = self.parameter(array)

    def literals(self, expression: Any) -> None:
        """Arrays that are arguments themselves become parameters, too."""
        for item in getattr(expression, "args", None) or getattr(expression, "fields", None) or ():
            if type(item).__name__ == "Tuple":
                self.literals(item)
            elif type(item).__name__ == "GenericConst":
                array = item.value.numpy()
                if array.dtype == np.float32 and array.size > 1 and item not in self.arrays:
                    self.arrays[item] = self.parameter(array)

    def parameter(self, array: np.ndarray) -> Any:
        from tvm import relax

        if not np.isfinite(array).all():
            raise Declined("its constants are not finite")
        name = f"c{len(self.constants)}"
        variable = relax.Var(name, relax.TensorType(array.shape, "float32"))
        self.constants.append((variable, array))
        return variable

    def dequantize(self) -> None:
        from tvm import relax

        for index, made in list(self.made.items()):
            if not isinstance(made, tuple):
                continue
            tensor, shape = made
            steps = relax.op.astype(self.activations[tensor.name], "float32")
            real = relax.op.subtract(steps, number(tensor.zero_point))
            real = relax.op.multiply(real, number(tensor.scale))
            self.made[index] = self.emit(relax.op.reshape(real, shape))

    def rebuilt(self, expression: Any) -> Any:
        """The expression of the model over what its arguments became."""
        from tvm import relax

        kind = type(expression).__name__
        known = self.graph.model.listing.known
        if kind == "Call":
            arguments = [self.rebuilt(argument) for argument in expression.args]
            return relax.Call(expression.op, arguments, expression.attrs, expression.ty_args)
        if kind == "Tuple":
            return relax.Tuple([self.rebuilt(item) for item in expression.fields])
        if kind == "TupleGetItem":
            return self.value(known[expression.tuple_value][expression.index])
        if kind == "GenericConst":
            return self.arrays.get(expression, expression)
        return self.value(known[expression]) if expression in known else expression

    def value(self, item: Any) -> Any:
        from tvm import relax

        if isinstance(item, tuple):
            return relax.Tuple([self.value(part) for part in item])
        return self.made[item.index] if isinstance(item, Ref) else relax.const(item)


def number(value: float) -> Any:
    from tvm import relax

    return relax.const(np.float32(value), "float32")


def quantized(real: Any, scale: float, zero_point: int) -> Any:
    """What QuantizeLinear makes of ``real``: half to even of real / scale."""
    from tvm import relax

    steps = relax.op.round(relax.op.divide(real, number(scale)))
    return relax.op.astype(
        relax.op.clip(relax.op.add(steps, number(zero_point)), -128, 127), "int8"
    )
