# SPDX-License-Identifier: Apache-2.0
"""How every network ends: what its last layer writes, (1, 1, 1, classes), is read as (1, classes).

It moves nothing, so it costs nothing and is no layer.
"""

from __future__ import annotations

from torch import Tensor

from tinytailor.compiler.ir import Node
from tinytailor.compiler.ops import Reshape
from tinytailor.nas.layers.onnx_step import AddNode


def flat(value: Tensor) -> Tensor:
    """(N, classes, 1, 1) to (N, classes)."""
    return value.flatten(1)


def flat_node(source: str, classes: int, output: str) -> Node:
    return Node("flatten", Reshape((1, classes)), (source,), output)


def flat_onnx(source: str, output: str, add: AddNode) -> None:
    add("Flatten", [source], output, {"axis": 1})
