# SPDX-License-Identifier: Apache-2.0
"""Inputs and outputs: how they lie on the device, and what the model calls them.

    input     maps of channels-first models lie channels last; one that the model only reshapes,
              transposes and cuts into rows lies as the model has it
    output    as it is computed, if that is the order of the model or channels last, else channels
              last; one of the shape and scale of an input lies as that input does, so that a state
              can be handed back

What came of it is in ``Graph.borders``, and from there in headers and manifests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import MAX_ELEMENTS, GraphBuilder
from tinytailor.compiler.frontend.imported_values import (
    Activation,
    FloatInput,
    Indices,
    Samples,
    Unknown,
    Value,
)
from tinytailor.compiler.frontend.layout import (
    Axes,
    axes_of,
    device_axis,
    device_shape,
    map_order,
    map_shape,
    row_major,
    with_batch,
)
from tinytailor.compiler.frontend.names import identifier
from tinytailor.compiler.frontend.onnx.standardized import Entry
from tinytailor.compiler.frontend.quantization import quantization_of, same_quantization
from tinytailor.compiler.frontend.relax_calls import BORDERS, Call, ImportedModel, Input, Ref, refs
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.frontend.rules import CALLS
from tinytailor.compiler.frontend.rules.implied_ranges import settled
from tinytailor.compiler.frontend.rules.operands import UNQUANTIZED
from tinytailor.compiler.frontend.rules.reshape import as_shape, copied
from tinytailor.compiler.frontend.rules.transpose import arranged, as_map
from tinytailor.compiler.ir import Border
from tinytailor.compiler.real_values import Standardization
from tinytailor.targets.errors import InputError

SAME = (*BORDERS, "relax.astype")  # what leaves every number in its place
LAYOUTS = {3: "NCW", 4: "NCHW"}  # of channels-first maps, by the number of axes


def input_value(builder: GraphBuilder, parameter: Input, index: int) -> Value:
    """An input of the model, of type float32, int8 or uint8, or the int16 samples of a sensor."""
    shape, dtype, model = parameter.shape, parameter.dtype, builder.model
    if prod(shape) > MAX_ELEMENTS or prod(shape) < 1:
        raise InputError(f"input {parameter.name} has shape {shape}, which fits no device")
    order, device = row_major(shape), shape
    layout = LAYOUTS.get(len(shape), "")
    if model.channels_first and layout and not in_model_order(model, index):
        order, device = map_order(shape, layout), map_shape(shape, layout)
    value = FloatInput(parameter.name, shape, order, device)
    builder.entries.append(value)
    if dtype == "float32":
        return value
    if dtype == "int16":
        check_readers(model, parameter, index)
        entry = model.entries.get(parameter.name)
        scale = float(entry.step[0]) if entry is not None and entry.step.size == 1 else 1.0
        return Samples(builder.graph_input(value, scale, 0, dtype), shape, order)
    if dtype not in ("int8", "uint8"):
        raise InputError(f"input {parameter.name} is {dtype}; expected float32, int8 or uint8")
    offset = 128 if dtype == "uint8" else 0
    known = model.input_quantization
    scale, zero_point = known.get(parameter.name, (1.0, offset))
    tensor = builder.graph_input(value, scale, zero_point - offset)
    if parameter.name not in known:
        builder.unquantized.add(tensor)
    return Activation(tensor, shape, order, False, offset)


def check_readers(model: ImportedModel, parameter: Input, index: int) -> None:
    """InputError naming what reads int16 samples and cannot."""
    told = {item.origin for item in model.unsupported}
    for call in model.listing.calls:
        rule = CALLS.get(call.operator)
        known = call.origin in told or (rule is not None and rule.samples)
        if Ref(index) in refs(call) and not known:
            raise InputError(
                f"input {parameter.name} is int16, and {call.origin.operator} "
                f"{call.origin.place} reads it; expected float32, int8 or uint8, or "
                "tinytailor.Compand to read it"
            )


def in_model_order(model: ImportedModel, index: int) -> bool:
    """Whether all that reads a value takes it as the model has it: reshapes, transposes, rows."""
    users = [
        (place, call) for place, call in enumerate(model.listing.calls) if Ref(index) in refs(call)
    ]
    return bool(users) and all(
        in_model_order(model, place) if call.operator in SAME else takes_rows(call, index)
        for place, call in users
    )


def takes_rows(call: Call, index: int) -> bool:
    rule, first = CALLS.get(call.operator), call.arguments[0]
    first_input = isinstance(first, Ref) and first.index == index
    return rule is not None and rule.in_model_order and first_input


def output_value(builder: GraphBuilder, item: Any) -> Activation | Indices | None:
    """The output ``item`` of the model as it leaves; None where something on the way to it was
    refused, Declined where it is no tensor."""
    value = settled(builder, item) if not isinstance(item, tuple) else None
    if isinstance(value, Unknown):
        return None
    if isinstance(value, Indices):
        if not np.array_equal(value.order, row_major(value.shape)):
            raise Declined("its indices would have to be transposed, which has no operator")
        return replace(value, tensor=as_shape(builder, value, with_batch(value.shape)).name)
    if not isinstance(value, Activation):
        if isinstance(item, Ref) and item.index >= 0:
            raise Declined(f"its result is not quantized: {UNQUANTIZED} after it")
        raise InputError(f"model {builder.model.name}: an output is not computed from its inputs")
    entry = fed_back(builder, value)
    if entry is not None:
        placed = arranged(builder, value, entry.order)
        return replace(placed, tensor=as_shape(builder, placed, entry.device).name)
    layout = LAYOUTS.get(len(value.shape), "") if value.shape[0] == 1 else ""
    rows = row_major(value.shape)
    if builder.model.channels_first and layout and not np.array_equal(value.order, rows):
        order = map_order(value.shape, layout)
        return replace(value, tensor=as_map(builder, value, layout).name, order=order)
    placed = arranged(builder, value, rows)
    return replace(placed, tensor=as_shape(builder, placed, with_batch(value.shape)).name)


def alone(builder: GraphBuilder, value: Activation | Indices, others: Sequence[str]) -> str:
    """The tensor of an output that is none of ``others`` and no input: a copy where it is one."""
    if value.tensor not in (*others, *builder.inputs.values()):
        return value.tensor
    return copied(builder, value).name


def fed_back(builder: GraphBuilder, value: Activation) -> FloatInput | None:
    """The input whose bytes this output can be, next time: of the same shape and scale."""
    if len(value.shape) < 3:
        return None
    leaving = quantization_of(builder.tensors[value.tensor])
    for entry in builder.entries:
        tensor = builder.tensors.get(builder.inputs.get(entry.name, ""))
        if tensor is None or entry.shape != value.shape:
            continue
        if same_quantization(quantization_of(tensor), leaving):
            return entry
    return None


def output_names(builder: GraphBuilder, outputs: Sequence[str]) -> dict[str, str]:
    """What tensors are renamed to, so that outputs have the model's names for them."""
    names: dict[str, str] = {}
    for tensor, name in zip(outputs, builder.model.output_names, strict=True):
        wanted = identifier(name, "output")
        if wanted == tensor:
            continue
        if wanted in builder.tensors and wanted not in (*builder.inputs.values(), *outputs):
            names[wanted] = builder.names.fresh(wanted, "tensor")
            names[tensor] = wanted
        else:
            names[tensor] = builder.names.fresh(wanted, "output")
    return names


def borders(builder: GraphBuilder, leaving: Sequence[Activation | Indices]) -> list[Border]:
    """What the model says of its inputs, then of its outputs, which leave so."""
    model, listing = builder.model, builder.model.listing
    entering = [parameter.dtype for parameter in listing.inputs]
    types = [
        *entering,
        *(
            listing.calls[item.index].dtype if item.index >= 0 else entering[-1 - item.index]
            for item in listing.outputs
        ),
    ]
    names = [*(parameter.name for parameter in listing.inputs), *model.output_names]
    found = []
    for name, value, dtype in zip(names, [*builder.entries, *leaving], types, strict=True):
        axes = axes_of(model.channels_first, value.order, value.shape)
        assert axes is not None  # such an order was asked for
        entry = model.entries.get(name) if isinstance(value, FloatInput) else None
        real = None
        if entry is not None and isinstance(value, FloatInput):
            real = standardization(entry, value, axes)
        found.append(Border(name, value.shape, dtype, axes, real))
    return found


def standardization(entry: Entry, value: FloatInput, axes: Axes) -> Standardization:
    """How real numbers enter, with the channels along an axis of the tensor on the device."""
    if entry.axis is None or entry.step.size == entry.offset.size == 1:
        return Standardization.of(entry.offset, entry.step, None)
    shape = device_shape(value.shape, axes)
    axis = device_axis(value.shape, axes, entry.axis)
    behind = prod(shape[axis + 1 :])
    same = [
        place
        for place, size in enumerate(value.device)
        if size == shape[axis] and prod(value.device[place + 1 :]) == behind
    ]
    return Standardization.of(entry.offset, entry.step, same[0])
