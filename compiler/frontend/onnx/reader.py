# SPDX-License-Identifier: Apache-2.0
"""ONNX files: checks with the file's own names, QDQ form, then TVM's Relax importer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinytailor.compiler.frontend.onnx import (
    constants,
    equivalents,
    narrow,
    normalizations,
    qoperator,
    samples,
    standardized,
)
from tinytailor.compiler.frontend.onnx.model_file import (
    DAMAGED,
    DYNAMIC,
    fix_batch,
    full_name,
    inferred,
    is_channels_last,
    is_quantized,
    opened,
    opset,
    origin_of,
    training_of,
)
from tinytailor.compiler.frontend.onnx.windows import check_windows
from tinytailor.compiler.frontend.quiet import attempt, first_line
from tinytailor.compiler.frontend.relax_calls import ImportedModel, read
from tinytailor.compiler.frontend.report import (
    QUANTIZE_FIRST,
    Origin,
    Unsupported,
    unsupported_error,
)
from tinytailor.compiler.frontend.rules import ONNX, ONNX_IN_FLOAT
from tinytailor.compiler.frontend.rules.rule import Onnx
from tinytailor.compiler.ir import Shape
from tinytailor.targets.errors import InputError

Forms = Mapping[str, Onnx]  # by full name: the operators that are imported
STATIC = "quantize statically, with calibration data"
OVER_TIME = "use convolutions over time"
BATCH_NORM = "use BatchNormalization, which becomes part of the layer before it"
FIXED = "export the model with a fixed batch of 1 and constant shapes"
HINTS = {
    **dict.fromkeys(DYNAMIC, STATIC),
    "Shape": FIXED,
    "LSTM": OVER_TIME,
    "GRU": OVER_TIME,
    "RNN": OVER_TIME,
    "GroupNormalization": BATCH_NORM,
    "Einsum": "use MatMul, or a 1x1 Conv",
}


def import_onnx(data: bytes, path: Path, name: str, allow_float: bool = False) -> ImportedModel:
    """``data``: the bytes of ``path``; ``name`` names the graph. InputError if it is unusable.

    ``allow_float``: with the operators that can be compiled in float.
    """
    forms = ONNX_IN_FLOAT if allow_float else ONNX
    try:
        model = opened(data, path.parent)
        graph = model.graph
        if not is_quantized(graph):
            raise InputError(f"{path.name} {QUANTIZE_FIRST}")
        fix_batch(graph, path.name)
        qoperator.rewrite(model)
        constants.fold(model)
        equivalents.rewrite(model, {"GatherND"})
        normalizations.rewrite(model)
        entries = standardized.absorb(model) | samples.entries(model, path.name)
        unsupported = listed(model, forms)
        narrow.widen(graph, path.name)
        check_windows(graph, path.name)
        function, origins, more = converted(model, forms)
    except InputError:
        raise
    except Exception as error:  # any bytes may be given: every failure is about the file
        raise InputError(f"{path.name} {DAMAGED} ({first_line(error)})") from None
    found = [*unsupported, *more]
    if function is None:
        raise unsupported_error(found)
    names = [value.name for value in graph.output]
    channels_first = not is_channels_last(model)
    return ImportedModel(
        name,
        read(function, origins),
        channels_first,
        names,
        unsupported=found,
        entries=entries,
        training=training_of(model, path.name),
    )


def listed(model: Any, forms: Forms) -> list[Unsupported]:
    """The nodes that are refused without asking TVM."""
    return [
        Unsupported(
            origin_of(model, node),
            qoperator.metadata(node, qoperator.REASON) or HINTS.get(node.op_type, ""),
        )
        for node in model.graph.node
        if full_name(node) not in forms
    ]


def converted(model: Any, forms: Forms) -> tuple[Any, dict[str, Origin], list[Unsupported]]:
    """(Relax function or None, Relax variable -> operator, nodes TVM refused)."""
    from tinytailor.compiler.frontend.onnx.named_importer import NamedImporter

    nodes = {
        f"op_{index}": (node, origin_of(model, node)) for index, node in enumerate(model.graph.node)
    }
    origins: dict[str, Origin] = {}
    unsupported: list[Unsupported] = []
    types = inferred_types(model)
    for label, (node, _) in nodes.items():
        node.name = label

    def build() -> Any:  # the importer dies in here, with a warning that is held back
        importer = NamedImporter(origins, unsupported, nodes, types, forms)
        return importer.from_onnx(model.graph, opset(model, ""))["main"]

    main, failure = attempt(build)
    known = all(full_name(node) in forms for node, _ in nodes.values())
    if main is None and not unsupported and known:
        raise ValueError(failure)
    return main, origins, unsupported


def inferred_types(model: Any) -> dict[str, tuple[Shape, str]]:
    """Shape and dtype of every tensor that ONNX can infer: they stand in for refused nodes."""
    from onnx.helper import tensor_dtype_to_np_dtype

    try:
        graph = inferred(model).graph
    except Exception:  # an invalid model: without types only the listing of its operators is made
        return {}
    types = {}
    for value in [*graph.value_info, *graph.output]:
        tensor = value.type.tensor_type
        sizes = [size.dim_value for size in tensor.shape.dim]
        if tensor.HasField("shape") and all(size > 0 for size in sizes):
            types[value.name] = (tuple(sizes), tensor_dtype_to_np_dtype(tensor.elem_type).name)
    return types
