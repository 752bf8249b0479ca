# SPDX-License-Identifier: Apache-2.0
"""An ONNX file as a model: opened, with batch 1 and inferred types, and what it says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinytailor.compiler.frontend.names import identifier
from tinytailor.compiler.frontend.onnx import qoperator, samples
from tinytailor.compiler.frontend.report import Origin, place
from tinytailor.compiler.frontend.rules import ONNX
from tinytailor.compiler.training_record import TRAINING, TrainingRecord
from tinytailor.targets.errors import InputError

CHANNELS_LAST = ("tinytailor.layout", "channels last")  # what the metadata of a model may say
DAMAGED = "cannot be read as an ONNX model: it is damaged or not an ONNX file"
DYNAMIC = ("ConvInteger", "DynamicQuantizeLinear", "MatMulInteger")  # scales found while running
INTEGER = {"QuantizeLinear", "DequantizeLinear", *DYNAMIC}


def opened(data: bytes, folder: Path) -> Any:
    """The model, its own functions inlined: exporters keep modules as such. Those that are imported
    by name stay calls."""
    import onnx
    from onnx.external_data_helper import load_external_data_for_model
    from onnx.inliner import inline_selected_functions

    model = onnx.load_model_from_string(data)
    if not model.graph.node:
        raise ValueError("it has no nodes")
    if model.functions:
        known = [(f.domain, f.name) for f in model.functions if f"{f.domain}.{f.name}" in ONNX]
        model = inline_selected_functions(model, known, exclude=True)
    load_external_data_for_model(model, str(folder))
    return model


def is_quantized(graph: Any) -> bool:
    """Whether any node computes with integers that stand for real numbers; constants alone, as the
    weights of a float model, do not count."""
    known = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if all(name in known for name in node.input):
            known.update(node.output)
        elif node.op_type in INTEGER or (node.domain, node.op_type) in qoperator.REWRITES:
            return True
    return False


def training_of(model: Any, file: str) -> TrainingRecord | None:
    """What the metadata of a model says of its training, if it came from a search."""
    text = next((item.value for item in model.metadata_props if item.key == TRAINING), None)
    return None if text is None else TrainingRecord.read(text, file)


def is_channels_last(model: Any) -> bool:
    """Whether its maps are (1, H, W, C), as those of TFLite files written as ONNX."""
    return any((item.key, item.value) == CHANNELS_LAST for item in model.metadata_props)


def opset(model: Any, domain: str) -> int:
    names = ("", "ai.onnx") if domain in ("", "ai.onnx") else (domain,)
    return next((int(s.version) for s in model.opset_import if s.domain in names), 1)


def inferred(model: Any) -> Any:
    """A copy with the types that ONNX infers; those of the file may hold another batch."""
    import onnx
    import onnx.shape_inference

    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    for value in bare.graph.output:
        value.type.tensor_type.ClearField("shape")
    samples.declare(bare.graph)
    return onnx.shape_inference.infer_shapes(bare, data_prop=True)


def full_name(node: Any) -> str:
    standard = node.domain in ("", "ai.onnx")
    return str(node.op_type if standard else f"{node.domain}.{node.op_type}")


def origin_of(model: Any, node: Any) -> Origin:
    """Named by the node, or by its output where the node has no name."""
    output = node.output[0] if node.output else ""
    kind, text = ("node", node.name) if node.name else ("output", output)
    label = identifier(node.name or output, node.op_type.lower())
    operator = qoperator.metadata(node, qoperator.OPERATOR) or full_name(node)
    return Origin(operator, place(kind, text), f"(opset {opset(model, node.domain)})", label)


def fix_batch(graph: Any, file: str) -> None:
    """Inputs get batch 1; any other free size is the user's to fix."""
    constants = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        if value.name in constants:
            continue
        if not value.type.HasField("tensor_type"):
            raise InputError(
                f"{file}: input {value.name} is no tensor; give its parts an input each"
            )
        sizes = value.type.tensor_type.shape.dim
        for axis, size in enumerate(sizes):
            fixed = size.HasField("dim_value") and size.dim_value > 0
            if axis == 0 and not fixed:
                size.dim_value = 1
            elif not fixed:
                raise InputError(
                    f"{file}: input {value.name} has a dynamic size "
                    f"{size.dim_param or '?'} on axis {axis}; export the model with fixed shapes"
                )
        if not sizes or sizes[0].dim_value != 1:
            shape = tuple(size.dim_value for size in sizes)
            raise InputError(
                f"{file}: input {value.name} has shape {shape}, expected batch 1 in front"
            )
