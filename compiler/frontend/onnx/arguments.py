# SPDX-License-Identifier: Apache-2.0
"""Constants of an ONNX node, which TVM's importer hands over as Relax expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def numbers(inputs: Sequence[Any], index: int, name: str) -> list[Any] | None:
    """The constant input ``index`` as a flat list; None if it is left out."""
    item = inputs[index] if len(inputs) > index else None
    if item is None:
        return None
    if not hasattr(item, "value"):
        raise ValueError(f"its {name} is computed by the model, expected a constant")
    return list(item.value.numpy().reshape(-1).tolist())


def given(inputs: Sequence[Any], index: int, name: str, attributes: Mapping[str, Any]) -> Any:
    """What older opsets have as an attribute and newer ones as an input."""
    found = numbers(inputs, index, name)
    return attributes.get(name) if found is None else found
