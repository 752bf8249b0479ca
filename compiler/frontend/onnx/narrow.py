# SPDX-License-Identifier: Apache-2.0
"""Constants of 4 bits, which ONNX stores two to a byte and TVM does not know.

They become int8 of the same numbers, and each DequantizeLinear of one says how many bits they had:
rules/quantize.py reads that, and layers that can keep them so narrow in flash.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinytailor.targets.errors import InputError

BITS = "tinytailor_bits"  # attribute of a DequantizeLinear


def widen(graph: Any, file: str) -> None:
    from onnx import TensorProto, helper, numpy_helper

    types: dict[int, Any] = {TensorProto.INT4: np.int8, TensorProto.UINT4: np.uint8}
    store_constants(graph, types)
    rounded = {
        name for node in graph.node if node.op_type == "QuantizeLinear" for name in node.input
    }
    narrow = set()
    for tensor in graph.initializer:
        if tensor.data_type not in types:
            continue
        if tensor.name in rounded:  # its clamp to 4 bits would be lost
            raise InputError(
                f"{file}: {tensor.name} asks QuantizeLinear for 4 bits; expected int8 "
                "activations, and 4-bit weights stored as constants before DequantizeLinear"
            )
        array = numpy_helper.to_array(tensor).astype(types[tensor.data_type])
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        narrow.add(tensor.name)
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in narrow:
            node.attribute.append(helper.make_attribute(BITS, 4))


def store_constants(graph: Any, types: Mapping[int, Any]) -> None:
    """Constant nodes of these types become initializers."""
    kept = []
    for node in graph.node:
        held = [item.t for item in node.attribute if item.name == "value"]
        if node.op_type != "Constant" or not held or held[0].data_type not in types:
            kept.append(node)
            continue
        tensor = graph.initializer.add()
        tensor.CopyFrom(held[0])
        tensor.name = node.output[0]
    del graph.node[:]
    graph.node.extend(kept)
