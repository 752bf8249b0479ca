# SPDX-License-Identifier: Apache-2.0
"""Float TFLite models written as ONNX, for quantization.

    TFLite  (1, H, W, C) -> CONV_2D -> (1, H, W, C)
    ONNX    (1, H, W, C) -> Transpose -> Conv -> Transpose -> (1, H, W, C)

Maps stay channels-last, as the file has them; the transposes cost nothing on the device. Weights
that the file holds as integers or as 16-bit floats (dynamic-range and float16 quantization) become
real numbers first. What is not in writers.WRITERS is listed in one error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinytailor.compiler.frontend.onnx.model_file import CHANNELS_LAST
from tinytailor.compiler.frontend.quiet import first_line
from tinytailor.compiler.frontend.report import Declined, Unsupported, unsupported_error
from tinytailor.compiler.frontend.tflite import dilated
from tinytailor.compiler.frontend.tflite.constants import computed
from tinytailor.compiler.frontend.tflite.model_file import (
    DAMAGED,
    check_structure,
    is_quantized,
    opened,
    origin_of,
)
from tinytailor.compiler.frontend.tflite.onnx_writer import OPSET, Operation, Writer
from tinytailor.compiler.frontend.tflite.writers import WRITERS
from tinytailor.targets.errors import InputError


def float_onnx(data: bytes, path: Path) -> bytes:
    """The ONNX model of a float .tflite; InputError listing what cannot be written."""
    try:
        model, subgraph = opened(data, path.name)
        check_structure(model, subgraph, path.name)
        if is_quantized(model, subgraph):
            raise InputError(
                f"{path.name} is quantized already: calibration is for float models; compile it "
                "without --calibration"
            )
        dilated.rewrite(model)
        return written(model, subgraph)
    except InputError:
        raise
    except Exception as error:  # any bytes may be given: every failure is about the file
        raise InputError(f"{path.name} {DAMAGED} ({first_line(error)})") from None


def written(model: Any, subgraph: Any) -> bytes:
    from onnx import TensorProto, helper

    writer = Writer(model, subgraph)
    unsupported = []
    for index in range(subgraph.OperatorsLength()):
        operator = subgraph.Operators(index)
        array = computed(model, subgraph, operator)
        if array is not None:
            model.enter(operator.Outputs(0), array)
            continue
        origin, begin = origin_of(model, subgraph, operator), len(writer.nodes)
        one = WRITERS.get(origin.operator)
        try:
            if one is None:
                raise Declined("")
            one(Operation(writer, operator, origin.operator))
            writer.infer(operator, begin)
        except Declined as reason:
            unsupported.append(Unsupported(origin, str(reason)))
    if unsupported:
        raise unsupported_error(unsupported)
    inputs = [subgraph.Inputs(i) for i in range(subgraph.InputsLength())]
    outputs = [subgraph.Outputs(i) for i in range(subgraph.OutputsLength())]
    graph = helper.make_graph(
        writer.nodes,
        "model",
        [
            helper.make_tensor_value_info(writer.names[i], TensorProto.FLOAT, writer.shape(i))
            for i in inputs
        ],
        [helper.make_tensor_value_info(writer.names[i], TensorProto.FLOAT, None) for i in outputs],
        writer.constants,
    )
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    helper.set_model_props(result, dict([CHANNELS_LAST]))
    data: bytes = result.SerializeToString(deterministic=True)
    return data
