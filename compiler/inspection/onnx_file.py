# SPDX-License-Identifier: Apache-2.0
"""What an ONNX file says.

the model as it is                     names, operators, declared types
with its integer operators as QDQ      scales and zero points, which constants are weights
with batch 1 and folded constants      shapes, as ONNX infers them
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from math import prod
from pathlib import Path
from typing import Any

from tinytailor.compiler.frontend.onnx import constants, qoperator
from tinytailor.compiler.frontend.onnx.model_file import (
    DAMAGED,
    DYNAMIC,
    fix_batch,
    inferred,
    is_quantized,
    opened,
    origin_of,
)
from tinytailor.compiler.frontend.onnx.reader import listed
from tinytailor.compiler.frontend.quiet import first_line
from tinytailor.compiler.frontend.rules import ONNX, ONNX_IN_FLOAT
from tinytailor.compiler.inspection.onnx_wires import Affine, Wires, bytes_of, type_name
from tinytailor.compiler.inspection.products import onnx_macs
from tinytailor.compiler.inspection.record import (
    FileOperator,
    Format,
    ModelFile,
    OpenShape,
    Quantization,
    Refusal,
    TensorRecord,
)
from tinytailor.targets.errors import InputError

Shapes = Mapping[str, OpenShape]  # by tensor


def read_onnx(data: bytes, path: Path) -> ModelFile:
    """InputError if the bytes of ``path`` are no model."""
    try:
        return facts(opened(data, path.parent), path.name)
    except InputError:
        raise
    except Exception as error:  # any bytes may be given: every failure is about the file
        raise InputError(f"{path.name} {DAMAGED} ({first_line(error)})") from None


def facts(model: Any, file: str) -> ModelFile:
    plain = in_qdq_form(model, file)
    wires = Wires.of(plain.graph)
    weights = list(wires.weights())
    quantization = quantization_of(model, wires)
    sources = [value for value in model.graph.input if value.name not in wires.constants]
    starts = [wires.affine(wires.border_behind(value.name)) for value in sources]
    ends = [wires.affine(wires.border_before(value.name)) for value in model.graph.output]
    shapes = inferred_shapes(plain)
    folded = {tensor.name for tensor in plain.graph.initializer}
    return ModelFile(
        Format("ONNX", versions(model), f"{model.producer_name} {model.producer_version}".strip()),
        quantization,
        is_quantized(model.graph),
        tuple(map(tensor_record, sources, starts, [shapes] * len(starts))),
        tuple(map(tensor_record, model.graph.output, ends, [shapes] * len(ends))),
        tuple(operator_record(model, node, shapes, folded) for node in model.graph.node),
        sum(prod(tensor.dims) for tensor in weights),
        sum(map(bytes_of, weights)),
        refused_by_name(plain),
    )


def in_qdq_form(model: Any, file: str) -> Any:
    """A copy with batch 1, whose operators on integers are QuantizeLinear and DequantizeLinear."""
    import onnx

    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    with contextlib.suppress(InputError):  # the trial says so
        fix_batch(plain.graph, file)
    with contextlib.suppress(KeyError):  # an input is no tensor: the trial says so
        qoperator.rewrite(plain)
    return plain


def inferred_shapes(plain: Any) -> Shapes:
    """Of all tensors, after folding the constants of ``plain`` in place; None of an open size."""
    try:
        constants.fold(plain)
        graph = inferred(plain).graph
    except Exception:  # an invalid model: the trial says so
        return {}
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        shape = declared_shape(value)
        if shape is not None and value.name not in shapes:
            shapes[value.name] = shape
    return shapes


def declared_shape(value: Any) -> OpenShape | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    sizes = [size.dim_value if size.HasField("dim_value") else 0 for size in tensor.shape.dim]
    return tuple(int(size) if size > 0 else None for size in sizes)


def versions(model: Any) -> dict[str, int | str]:
    """Of the intermediate representation, and of operator sets by domain."""
    sets = {entry.domain or "ai.onnx": int(entry.version) for entry in model.opset_import}
    return {"ir": int(model.ir_version), **sets}


def quantization_of(model: Any, wires: Wires) -> Quantization:
    nodes = model.graph.node
    activations = wires.activations()
    quantized = list(wires.quantized_weights())
    weights = sorted({kind for kind, _ in quantized})
    if any((node.domain, node.op_type) in qoperator.REWRITES for node in nodes):
        form = "QOperator"
    elif any(node.op_type in DYNAMIC for node in nodes):
        form = "dynamic"
    elif activations:
        form = "QDQ"
    elif weights:
        form = f"{' and '.join(weights)} weights"
    else:
        form = "float"
        weights = sorted({type_name(tensor.data_type) for tensor in wires.weights()})
    by_channel = any(several for _, several in quantized)
    return Quantization(form, tuple(activations), tuple(weights), by_channel)


def tensor_record(value: Any, affine: Affine, shapes: Shapes) -> TensorRecord:
    """An input or output, its sizes as the file declares them."""
    shape = declared_shape(value)
    kind = type_name(value.type.tensor_type.elem_type)
    return TensorRecord(
        value.name, shapes.get(value.name) if shape is None else shape, kind, *affine
    )


def operator_record(model: Any, node: Any, shapes: Shapes, folded: Collection[str]) -> FileOperator:
    """Nothing is left to multiply where the result is among the constants ``folded``."""
    origin = origin_of(model, node)
    result = node.output[0] if node.output else ""
    output = shapes.get(result)
    macs = onnx_macs(origin.operator, [shapes.get(name) for name in node.input], output)
    where = origin.place.split(" ", 1)[1]
    return FileOperator(
        node.name or result,
        origin.operator,
        origin.place,
        where,
        output,
        0 if result in folded else macs,
    )


def refused_by_name(folded: Any) -> tuple[Refusal, ...]:
    """The nodes whose operators have no rule."""
    in_float = {item.origin.place for item in listed(folded, ONNX_IN_FLOAT)}
    return tuple(
        Refusal(
            item.origin.operator, item.origin.place, item.hint, item.origin.place not in in_float
        )
        for item in listed(folded, ONNX)
    )
