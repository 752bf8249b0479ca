# SPDX-License-Identifier: Apache-2.0
"""TFLite files: checks that keep damaged ones away from native code, then TVM's Relax importer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tinytailor.compiler.frontend.quantization import Quantization
from tinytailor.compiler.frontend.quiet import attempt, first_line
from tinytailor.compiler.frontend.relax_calls import ImportedModel, read
from tinytailor.compiler.frontend.report import (
    QUANTIZE_FIRST,
    Origin,
    Unsupported,
    unsupported_error,
)
from tinytailor.compiler.frontend.rules import TFLITE
from tinytailor.compiler.frontend.tflite import dilated
from tinytailor.compiler.frontend.tflite.constants import FOLDED
from tinytailor.compiler.frontend.tflite.model_file import (
    DAMAGED,
    check_structure,
    form_of,
    is_quantized,
    opened,
    origin_of,
    scale_of,
)
from tinytailor.targets.errors import InputError


def import_tflite(data: bytes, path: Path, name: str) -> ImportedModel:
    """``data``: the bytes of ``path``; ``name`` names the graph. InputError if it is unusable."""
    try:
        model, subgraph = opened(data, path.name)
        quantization = check_tensors(model, subgraph, path.name)
        dilated.rewrite(model)
        unsupported = listed(model, subgraph)
        function, origins, more = converted(model, unsupported)
    except InputError:
        raise
    except Exception as error:  # any bytes may be given: every failure is about the file
        raise InputError(f"{path.name} {DAMAGED} ({first_line(error)})") from None
    found = [*unsupported, *more]
    if function is None:
        raise unsupported_error(found)
    outputs = [subgraph.Outputs(index) for index in range(subgraph.OutputsLength())]
    names = [subgraph.Tensors(index).name for index in outputs]
    return ImportedModel(name, read(function, origins), False, names, quantization, found)


def listed(model: Any, subgraph: Any) -> list[Unsupported]:
    """Operators without a rule; whether those of FOLDED are constants is seen on the way."""
    found = []
    for index in range(subgraph.OperatorsLength()):
        origin = origin_of(model, subgraph, subgraph.Operators(index))
        if origin.operator not in TFLITE and origin.operator not in FOLDED:
            found.append(Unsupported(origin))
    return found


def check_tensors(model: Any, subgraph: Any, file: str) -> dict[str, Quantization]:
    """The quantization of integer inputs by tensor name, after ``check_structure``."""
    import tflite

    check_structure(model, subgraph, file)
    if not is_quantized(model, subgraph):
        raise InputError(f"{file} {QUANTIZE_FIRST}")
    check_weights(model, subgraph, file)
    found: dict[str, Quantization] = {}
    for index in range(subgraph.InputsLength()):
        tensor = subgraph.Tensors(subgraph.Inputs(index))
        scale = scale_of(tensor)
        if scale and tensor.Type() in (tflite.TensorType.INT8, tflite.TensorType.UINT8):
            quantization = tensor.Quantization()
            zero = int(quantization.ZeroPoint(0)) if quantization.ZeroPointLength() else 0
            found[tensor.Name().decode()] = (scale[0], zero)
    return found


def check_weights(model: Any, subgraph: Any, file: str) -> None:
    """uint8 weights have zero points; only files of before TensorFlow 2.3 hold such."""
    import tflite

    for index in range(subgraph.OperatorsLength()):
        operator = subgraph.Operators(index)
        if not form_of(model, operator).weights:
            continue
        if operator.InputsLength() < 2 or operator.Inputs(1) < 0:
            continue
        if subgraph.Tensors(operator.Inputs(1)).Type() == tflite.TensorType.UINT8:
            raise InputError(
                f"{file} is quantized to uint8, with zero points for its weights, as TensorFlow 1 "
                "did; convert the model again with TensorFlow 2.3 or newer, which writes int8"
            )


def converted(
    model: Any, listed: Sequence[Unsupported]
) -> tuple[Any, dict[str, Origin], list[Unsupported]]:
    """(Relax function or None, Relax variable -> operator, operators TVM refused besides those
    ``listed``)."""
    from tvm.relax.frontend.tflite import from_tflite

    from tinytailor.compiler.frontend.tflite.named_converter import NamedConverter

    origins: dict[str, Origin] = {}
    unsupported: list[Unsupported] = []
    converter = partial(NamedConverter, origins, unsupported)
    main, failure = attempt(lambda: from_tflite(model, op_converter=converter)["main"])
    if main is None and not unsupported and not listed:
        raise ValueError(failure)
    return main, origins, unsupported
