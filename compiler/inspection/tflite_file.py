# SPDX-License-Identifier: Apache-2.0
"""What a TFLite file says.

Files that were converted with a free batch only guess the shapes of what they compute. So the
readers go through the operators first and enter what they find (tflite/model_view.py); a guess that
none of them replaced is no shape.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

from tinytailor.compiler.frontend.quiet import first_line
from tinytailor.compiler.frontend.rules import TFLITE
from tinytailor.compiler.frontend.tflite import dilated
from tinytailor.compiler.frontend.tflite.arguments import tensor_shape
from tinytailor.compiler.frontend.tflite.constants import FOLDED
from tinytailor.compiler.frontend.tflite.float_model import written
from tinytailor.compiler.frontend.tflite.model_file import (
    DAMAGED,
    check_structure,
    is_quantized,
    opened,
    operator_name,
    origin_of,
    scale_of,
)
from tinytailor.compiler.frontend.tflite.onnx_writer import Writer
from tinytailor.compiler.frontend.tflite.reader import check_weights, converted, listed
from tinytailor.compiler.frontend.tflite.writers import WRITERS
from tinytailor.compiler.inspection.products import tflite_macs
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

INTEGERS = ("int8", "uint8", "int16")  # of activations
REAL = ("float16", "float32", "float64")
WEIGHTS = (*INTEGERS, *REAL, "int4")
BORDERS = ("QUANTIZE", "DEQUANTIZE")
RUNTIME = b"min_runtime_version"  # metadata


def read_tflite(data: bytes, path: Path) -> ModelFile:
    """InputError if the bytes of ``path`` are no model."""
    try:
        model, subgraph = opened(data, path.name)
        return facts(model, subgraph, path.name)
    except InputError:
        raise
    except Exception as error:  # any bytes may be given: every failure is about the file
        raise InputError(f"{path.name} {DAMAGED} ({first_line(error)})") from None


def facts(model: Any, subgraph: Any, file: str) -> ModelFile:
    operators = list(subgraph.operators)
    constants = constants_of(model, operators)
    quantization = quantization_of(model, operators, constants)
    quantized = is_quantized(model, subgraph) or bool(quantization.activations)
    weights = {
        tensor.buffer: tensor
        for tensor in constants
        if tensor.shape and (type_of(tensor) in WEIGHTS or scale_of(tensor))
    }
    stored = [model.Buffers(buffer).DataLength() for buffer in weights]
    dilated.rewrite(model)
    refused = refused_by_name(model, quantized)
    shapes = computed_shapes(model, operators, file, quantized)
    return ModelFile(
        format_of(model),
        quantization,
        quantized,
        tuple(tensor_record(model, place, operators) for place in subgraph.InputsAsNumpy()),
        tuple(tensor_record(model, place, operators) for place in subgraph.OutputsAsNumpy()),
        operator_records(model, operators, shapes, quantized),
        sum(prod(tensor.shape) for tensor in weights.values()),
        sum(stored),
        refused,
    )


def format_of(model: Any) -> Format:
    """The version of the schema, and what else the file says of itself; nothing is computed with
    that, so it may be damaged."""
    versions: dict[str, int | str] = {"schema": int(model.Version())}
    producer = ""
    with contextlib.suppress(Exception):
        producer = (model.Description() or b"").decode("utf-8", "replace")
        for place in range(model.MetadataLength()):
            entry = model.Metadata(place)
            if entry.Name() == RUNTIME:  # the oldest that has all operators
                text = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
                versions["runtime"] = text.split(b"\0")[0].decode("utf-8", "replace")
    return Format("TFLite", versions, producer)


def type_of(tensor: Any) -> str:
    import tflite

    names = {number: name.lower() for name, number in vars(tflite.TensorType).items()}
    return names.get(tensor.Type(), f"type {tensor.Type()}")


def constants_of(model: Any, operators: Sequence[Any]) -> list[Any]:
    """The tensors that operators read and whose numbers the file holds."""
    places = {operator.Inputs(i) for operator in operators for i in range(operator.InputsLength())}
    tensors = [model.subgraph.tensors[place] for place in sorted(places) if place >= 0]
    return [tensor for tensor in tensors if model.Buffers(tensor.buffer).DataLength()]


def quantization_of(model: Any, operators: Sequence[Any], constants: Sequence[Any]) -> Quantization:
    results = [model.subgraph.tensors[operator.Outputs(0)] for operator in operators]
    activations = sorted({type_of(y) for y in results if scale_of(y) and type_of(y) in INTEGERS})
    layers = [
        tensor for tensor in constants if len(tensor.shape) > 1 and type_of(tensor) in WEIGHTS
    ]
    weights = tuple(sorted({type_of(tensor) for tensor in layers}))
    by_channel = any(
        tensor.Quantization().ScaleLength() > 1 for tensor in layers if scale_of(tensor)
    )
    if activations:
        real = [
            origin_of(model, model.subgraph, operator).operator not in BORDERS
            for operator, y in zip(operators, results, strict=True)
            if type_of(y) in REAL
        ]
        form = next(kind for kind in ("int16", "int8", "uint8") if kind in activations)
        return Quantization(form, tuple(activations), weights, by_channel, sum(real))
    if any(kind not in REAL for kind in weights):
        return Quantization("dynamic-range", (), weights, by_channel)
    return Quantization("float", (), weights)


def tensor_record(model: Any, place: int, operators: Sequence[Any]) -> TensorRecord:
    """An input or output; a float one has the scale of what QUANTIZE or DEQUANTIZE makes it."""
    tensors = model.subgraph.tensors
    tensor, other = tensors[place], place
    for operator in operators:
        kind, ends = operator_name(model, operator), (operator.Inputs(0), operator.Outputs(0))
        if kind in BORDERS and place in ends and type_of(tensor) in REAL:
            other = ends[1 - ends.index(place)]
    integers = scale = zero_point = None
    found = tensors[other].Quantization()
    if found is not None and found.ScaleLength() == 1:
        integers, scale = type_of(tensors[other]), float(found.Scale(0))
        zero_point = int(found.ZeroPoint(0)) if found.ZeroPointLength() else 0
    shape = open_shape(tensor)
    return TensorRecord(tensor.name, shape, type_of(tensor), integers, scale, zero_point)


def open_shape(tensor: Any) -> OpenShape:
    """With None for the sizes that the file leaves free."""
    shape = tensor_shape(tensor)
    if tensor.ShapeSignatureLength() != len(shape):
        return shape
    free = [tensor.ShapeSignature(axis) < 0 for axis in range(len(shape))]
    return tuple(None if one else size for one, size in zip(free, shape, strict=True))


def computed_shapes(
    model: Any, operators: Sequence[Any], file: str, quantized: bool
) -> list[OpenShape | None]:
    """Of all tensors, with batch 1. Goes through the operators as the readers do, which changes
    ``model``; ``operators`` are those of the file."""
    subgraph = model.subgraph
    stated = [(tensor.shape, open_shape(tensor)) for tensor in subgraph.tensors]
    with contextlib.suppress(Exception):  # the trial says what is wrong
        check_structure(model, subgraph, file)
        if quantized:
            check_weights(model, subgraph, file)
            converted(model, listed(model, subgraph))
        else:
            written(model, subgraph)
    taken = {operator.Outputs(0) for operator in replaced(model, operators)}
    inputs = set(subgraph.InputsAsNumpy().tolist())
    shapes: list[OpenShape | None] = []
    for place, (tensor, (shape, free)) in enumerate(zip(subgraph.tensors, stated, strict=False)):
        known = tensor.shape is not shape or place in inputs or None not in free
        shapes.append(tensor.shape if known and place not in taken else None)
    return shapes


def replaced(model: Any, operators: Sequence[Any]) -> list[Any]:
    """Those that dilated.rewrite took out of ``model``, whose results are others there or none."""
    kept = {id(operator) for operator in model.subgraph.operators}
    gone = [operator for operator in operators if id(operator) not in kept]
    return [one for one in gone if operator_name(model, one) != "BATCH_TO_SPACE_ND"]


def operator_records(
    model: Any, operators: Sequence[Any], shapes: Sequence[OpenShape | None], quantized: bool
) -> tuple[FileOperator, ...]:
    in_onnx = Writer(model, model.subgraph).names  # what float models are written with
    dilated_macs = replacing(model, operators)
    records = []
    for operator in operators:
        origin, result = origin_of(model, model.subgraph, operator), operator.Outputs(0)
        macs = macs_of(origin.operator, operator, shapes)
        where = origin.place.split(" ", 1)[1] if quantized else in_onnx[result]
        records.append(
            FileOperator(
                model.subgraph.tensors[result].name,
                origin.operator,
                origin.place,
                where,
                shapes[result],
                dilated_macs.get(weights_at(origin.operator, operator)) if macs is None else macs,
            )
        )
    return tuple(records)


def macs_of(kind: str, operator: Any, shapes: Sequence[OpenShape | None]) -> int | None:
    places = [operator.Inputs(i) for i in range(operator.InputsLength())]
    read = [shapes[place] if place >= 0 else None for place in places]
    return tflite_macs(kind, read, shapes[operator.Outputs(0)])


def weights_at(kind: str, operator: Any) -> tuple[str, int]:
    return kind, operator.Inputs(1) if operator.InputsLength() > 1 else -1


def replacing(model: Any, operators: Sequence[Any]) -> dict[tuple[str, int], int]:
    """The MACs of dilated convolutions in the place of others, by kind and weights."""
    known = {id(operator) for operator in operators}
    shapes = [tensor.shape for tensor in model.subgraph.tensors]
    found: dict[tuple[str, int], int] = {}
    for operator in model.subgraph.operators:
        kind = operator_name(model, operator)
        macs = None if id(operator) in known else macs_of(kind, operator, shapes)
        if macs:
            found[weights_at(kind, operator)] = macs
    return found


def refused_by_name(model: Any, quantized: bool) -> tuple[Refusal, ...]:
    """The operators that have no rule."""
    known = {*(TFLITE if quantized else WRITERS), *FOLDED}
    subgraph = model.subgraph
    origins = [origin_of(model, subgraph, operator) for operator in subgraph.operators]
    return tuple(
        Refusal(origin.operator, origin.place, "", False)
        for origin in origins
        if origin.operator not in known
    )
