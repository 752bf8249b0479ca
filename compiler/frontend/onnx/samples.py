# SPDX-License-Identifier: Apache-2.0
"""int16 inputs, the samples of a sensor: what one step of them is, from the metadata of the file,
and the types of what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytailor.compiler.frontend.onnx.compand import ATTRIBUTES, DOMAIN, NAME, SAMPLES, steps_of
from tinytailor.compiler.frontend.onnx.standardized import Entry
from tinytailor.targets.errors import InputError


def entries(model: Any, file: str) -> dict[str, Entry]:
    """How real numbers become the samples of the int16 input, if the file says so."""
    from onnx import TensorProto

    metadata = {item.key: item.value for item in model.metadata_props}
    if SAMPLES not in metadata:
        return {}
    inputs = [v for v in model.graph.input if v.type.tensor_type.elem_type == TensorProto.INT16]
    if len(inputs) != 1 or len(inputs[0].type.tensor_type.shape.dim) != 4:
        raise InputError(
            f"{file}: its metadata {SAMPLES} are of one int16 input (1, C, T, W), and it has "
            f"{len(inputs)} int16 inputs"
        )
    channels = inputs[0].type.tensor_type.shape.dim[1].dim_value
    step = steps_of(metadata, channels, file)
    assert step is not None  # they are there
    return {inputs[0].name: Entry(np.zeros(1, np.float32), step, 1 if step.size > 1 else None)}


def declare(graph: Any) -> None:
    """Add the types of what is made of samples to a graph: ONNX does not see through the step of
    the function."""
    from onnx import TensorProto, helper

    inputs = {value.name: value for value in graph.input}
    filters = {tensor.name: tensor.dims for tensor in graph.initializer}
    for node in graph.node:
        if (node.domain, node.op_type) != (DOMAIN, NAME) or len(node.input) < 2:
            continue
        x, dims = inputs.get(node.input[0]), filters.get(node.input[1], ())
        step = next((a.i for a in node.attribute if a.name == ATTRIBUTES[0]), 0)
        if x is None or len(dims) != 1 or step < 1:
            continue
        sizes = [size.dim_value for size in x.type.tensor_type.shape.dim]
        if len(sizes) == 4:
            shape = [1, dims[0], -(-sizes[2] // step), sizes[3]]
            value = helper.make_tensor_value_info(node.output[0], TensorProto.INT8, shape)
            graph.value_info.append(value)
