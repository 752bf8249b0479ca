# SPDX-License-Identifier: Apache-2.0
"""A TFLite file as a model: opened, and checked so far that native code survives reading it."""

from __future__ import annotations

from math import prod
from typing import Any

from tinytailor.compiler.frontend.graph_builder import MAX_ELEMENTS
from tinytailor.compiler.frontend.names import identifier
from tinytailor.compiler.frontend.report import Origin, place
from tinytailor.compiler.frontend.rules import TFLITE
from tinytailor.compiler.frontend.rules.rule import Tflite
from tinytailor.compiler.frontend.tflite.arguments import options_of, tensor_shape
from tinytailor.targets.errors import InputError

DAMAGED = "cannot be read as a TFLite model: it is damaged or not a TFLite file"
MAX_OPTION = 4096  # of strides, dilations and filters


def opened(data: bytes, file: str) -> tuple[Any, Any]:
    """The model and its first subgraph, as views (model_view.py)."""
    import tflite

    from tinytailor.compiler.frontend.tflite.model_view import ModelView

    if len(data) < 32 or data[4:8] != b"TFL3":
        raise InputError(f"{file} {DAMAGED} (it does not carry the identifier TFL3)")
    model = tflite.Model.GetRootAsModel(data, 0)
    subgraph = model.Subgraphs(0)
    lengths = (
        subgraph.OperatorsLength(),
        subgraph.TensorsLength(),
        model.BuffersLength(),
        model.OperatorCodesLength(),
    )
    if max(lengths) * 4 > len(data) or min(lengths) < 1:
        raise InputError(f"{file} {DAMAGED} (its tables are longer than the file)")
    view = ModelView(model)
    return view, view.subgraph


def operator_name(model: Any, operator: Any) -> str:
    import tflite

    named = getattr(operator, "kind", "")  # of an OperatorView
    if named:
        return str(named)
    code = model.OperatorCodes(operator.OpcodeIndex())
    builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if builtin == tflite.BuiltinOperator.CUSTOM and code.CustomCode():
        return str(code.CustomCode().decode("utf-8", "replace"))
    names = {number: text for text, number in vars(tflite.BuiltinOperator).items()}
    return str(names.get(builtin, f"operator code {builtin}"))


def origin_of(model: Any, subgraph: Any, operator: Any) -> Origin:
    name = operator_name(model, operator)
    text = subgraph.Tensors(operator.Outputs(0)).Name().decode("utf-8", "replace")
    return Origin(name, place("tensor", text), "", identifier(text, name.lower()))


def form_of(model: Any, operator: Any) -> Tflite:
    """What the rules say of an operator; nothing of one that is refused."""
    return TFLITE.get(operator_name(model, operator), Tflite())


def check_structure(model: Any, subgraph: Any, file: str) -> None:
    """One subgraph, bounds of every index and size, and batch 1."""
    count = model.SubgraphsLength()
    if count != 1:
        raise InputError(f"{file} has {count} subgraphs, expected 1 (no control flow)")
    tensors = [subgraph.Tensors(index) for index in range(subgraph.TensorsLength())]
    for tensor in tensors:
        shape = tensor_shape(tensor)
        if len(shape) > 6 or any(size < 0 for size in shape) or prod(shape) > MAX_ELEMENTS:
            where = place("tensor", tensor.Name().decode("utf-8", "replace"))
            raise InputError(f"{file}: {where} has shape {shape[:6]}, which fits no device")
        if not 0 <= tensor.Buffer() < model.BuffersLength():
            raise InputError(f"{file} {DAMAGED} (a buffer index is out of range)")
    for index in range(subgraph.OperatorsLength()):
        check_operator(model, subgraph.Operators(index), len(tensors), file)
    for index in range(subgraph.InputsLength()):
        if not 0 <= subgraph.Inputs(index) < len(tensors):
            raise InputError(f"{file} {DAMAGED} (a tensor index is out of range)")
        shape = tensor_shape(tensors[subgraph.Inputs(index)])
        if not shape or shape[0] != 1:
            raise InputError(f"{file}: an input has shape {shape}, expected batch 1")
        check_signature(tensors[subgraph.Inputs(index)], file)
    check_types(subgraph, file)


def is_quantized(model: Any, subgraph: Any) -> bool:
    """Whether any operator computes a quantized tensor."""
    import tflite

    integers = (tflite.TensorType.INT8, tflite.TensorType.UINT8)
    operators = [subgraph.Operators(index) for index in range(subgraph.OperatorsLength())]
    results = [subgraph.Tensors(operator.Outputs(0)) for operator in operators]
    finding = (operator for operator in operators if form_of(model, operator).finds)
    results += [subgraph.Tensors(operator.Inputs(0)) for operator in finding]
    return any(scale_of(tensor) for tensor in results if tensor.Type() in integers)


def check_signature(tensor: Any, file: str) -> None:
    """A batch may be free, as it is 1; what the file holds for any other free size is a guess."""
    sizes = [tensor.ShapeSignature(axis) for axis in range(min(tensor.ShapeSignatureLength(), 7))]
    free = [axis for axis, size in enumerate(sizes) if axis and size < 0]
    if free:
        raise InputError(
            f"{file}: input {tensor.name} has a free size on axis {free[0]}; convert the model "
            "with fixed sizes behind the batch"
        )


def check_types(subgraph: Any, file: str) -> None:
    """The quantization with activations of 16 bits is refused by its name."""
    import tflite

    for index in range(subgraph.OperatorsLength()):
        tensor = subgraph.Tensors(subgraph.Operators(index).Outputs(0))
        if tensor.Type() == tflite.TensorType.INT16 and scale_of(tensor):
            raise InputError(
                f"{file} is quantized with int16 activations ({place('tensor', tensor.name)}), "
                "expected int8 activations; convert it again with TFLITE_BUILTINS_INT8"
            )


def scale_of(tensor: Any) -> list[float]:
    quantization = tensor.Quantization()
    if quantization is None:
        return []
    return [float(quantization.Scale(i)) for i in range(min(quantization.ScaleLength(), 1))]


def check_operator(model: Any, operator: Any, tensors: int, file: str) -> None:
    """Indices in range, strides and filters positive: TVM divides by them in native code."""
    used = [operator.Inputs(i) for i in range(operator.InputsLength())]
    used += [operator.Outputs(i) for i in range(operator.OutputsLength())]
    if not operator.OutputsLength() or not all(-1 <= index < tensors for index in used):
        raise InputError(f"{file} {DAMAGED} (a tensor index is out of range)")
    form, kind = form_of(model, operator), operator_name(model, operator)
    if not form.positive:
        return
    table = options_of(operator, form.options)
    if table is None:
        raise InputError(f"{file} {DAMAGED} ({kind} has no options)")
    for field in form.positive:
        value = getattr(table, field)()
        if not 1 <= value <= MAX_OPTION:
            raise InputError(f"{file}: {kind} has {field} {value}, expected 1 to {MAX_OPTION}")
