# SPDX-License-Identifier: Apache-2.0
"""A Relax function as a plain list of calls. The only file that looks inside Relax objects.

Constants become numpy arrays, shapes and attributes tuples and numbers, and an argument that is
another call's result becomes a ``Ref`` to its position. What follows needs no TVM.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.onnx.standardized import Entry
from tinytailor.compiler.frontend.quantization import Quantization
from tinytailor.compiler.frontend.report import Origin, Unsupported
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.training_record import TrainingRecord
from tinytailor.targets.errors import InputError

BORDERS = ("relax.quantize", "relax.dequantize")  # between real numbers and integers


@dataclass(frozen=True, slots=True)
class Ref:
    """The result of call ``index``, or of input ``-1 - index`` when it is negative."""

    index: int


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One operator application; ``origin`` is the operator of the model file it came from.

    ``source``: the Relax call, for those who hand it back to TVM (rules/float_calls.py).
    """

    operator: str
    arguments: tuple[Any, ...]
    attributes: Mapping[str, Any]
    shape: Shape
    dtype: str
    origin: Origin
    source: Any = None


@dataclass(frozen=True, slots=True)
class Input:
    name: str
    shape: Shape
    dtype: str


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """A function body: ``outputs`` are the arguments it returns; ``known`` says what its Relax
    variables are."""

    inputs: tuple[Input, ...]
    calls: tuple[Call, ...]
    outputs: tuple[Any, ...]
    known: Mapping[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class ImportedModel:
    """What the readers of model files hand over; ``output_names``: as the file has them;
    ``unsupported``: operators that are refused; ``entries``: how real numbers enter, by input,
    where more than a quantization is in front; ``training``: what the file says of it."""

    name: str
    listing: Listing
    channels_first: bool
    output_names: Sequence[str]
    input_quantization: Mapping[str, Quantization] = field(default_factory=dict)
    unsupported: Sequence[Unsupported] = ()
    entries: Mapping[str, Entry] = field(default_factory=dict)
    training: TrainingRecord | None = None


def refs(call: Call) -> Iterator[Ref]:
    """The results a call reads, those of a tuple included."""
    for argument in call.arguments:
        for item in argument if isinstance(argument, tuple) else (argument,):
            if isinstance(item, Ref):
                yield item


def shape_of(expression: Any) -> Shape:
    """The shape of a Relax expression whose type is known."""
    return tuple(int(size) for size in expression.ty.shape.values)


def own_call(name: str, arguments: Sequence[Any], out_type: Any) -> Any:
    """A call that TVM does not know, for the rule of this name: a Relax expression."""
    from tvm import relax

    return relax.op.call_dps_packed(name, relax.Tuple(list(arguments)), out_type)


def read(function: Any, origins: Mapping[str, Origin]) -> Listing:
    """``origins`` maps names of Relax variables to the operators that ended in them."""
    known: dict[Any, Any] = {}
    inputs = []
    for index, parameter in enumerate(function.params):
        known[parameter] = Ref(-1 - index)
        inputs.append(Input(str(parameter.name), *_type(parameter)))
    bindings = [binding for block in function.body.blocks for binding in block.bindings]
    calls: list[Call] = []
    for binding, origin in zip(bindings, _origins(bindings, origins), strict=True):
        value = binding.value
        if type(value).__name__ != "Call":
            known[binding.var] = _argument(value, known)
            continue
        operator, arguments = _callee(value)
        calls.append(
            Call(
                operator,
                tuple(_argument(argument, known) for argument in arguments),
                _attributes(value.attrs),
                *_type(binding.var),
                origin,
                value if operator.startswith("relax.") else None,
            )
        )
        known[binding.var] = Ref(len(calls) - 1)
    result = _argument(function.body.body, known)
    outputs = result if isinstance(result, tuple) else (result,)
    return Listing(tuple(inputs), tuple(calls), outputs, known)


def _origins(bindings: Sequence[Any], origins: Mapping[str, Origin]) -> list[Origin]:
    """An importer names the last binding of an operator; those before it belong to it too."""
    current = Origin("result", "of the graph")
    found = []
    for binding in reversed(bindings):
        current = origins.get(str(binding.var.name), current)
        found.append(current)
    return found[::-1]


def _callee(call: Any) -> tuple[str, tuple[Any, ...]]:
    name = getattr(call.op, "name", type(call.op).__name__)
    if name == "relax.call_dps_packed":
        return str(call.args[0].global_symbol), tuple(call.args[1].fields)
    return str(name), tuple(call.args)


def _type(var: Any) -> tuple[Shape, str]:
    kind = type(var.ty).__name__
    if kind != "TensorType":
        return (), kind
    values = getattr(var.ty.shape, "values", None)
    sizes = [getattr(size, "value", None) for size in values or ()]
    if values is None or None in sizes:
        raise InputError(
            f"tensor {var.name} has the dynamic shape {var.ty.shape}; export the model with fixed "
            "shapes and batch 1"
        )
    return tuple(int(size) for size in sizes if size is not None), str(var.ty.dtype)


def _argument(value: Any, known: Mapping[Any, Any]) -> Any:
    kind = type(value).__name__
    if kind == "GenericConst":
        return value.value.numpy()
    if kind == "ShapeExpr":
        return tuple(int(size) for size in value.values)
    if kind == "Tuple":
        return tuple(_argument(field, known) for field in value.fields)
    if kind in ("IntImm", "FloatImm"):
        return value.value
    if kind == "TupleGetItem":
        return known[value.tuple_value][value.index]
    if value in known:
        return known[value]
    raise InputError(f"the importer made a value of an unknown kind: {kind}")


def _attributes(attrs: Any) -> dict[str, Any]:
    if attrs is None:
        return {}
    fields = getattr(type(attrs), "__tvm_ffi_type_info__").fields  # noqa: B009
    return {field.name: _plain(getattr(attrs, field.name)) for field in fields}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "__len__") and not isinstance(value, np.ndarray):
        return tuple(_plain(item) for item in value)
    inner = getattr(value, "value", value)
    return inner if isinstance(inner, str | int | float | bool) else str(value)
