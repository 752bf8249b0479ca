# SPDX-License-Identifier: Apache-2.0
"""Damage done to model files: bytes flipped, ends cut off, fields of their records changed.

Changed fields keep a file well formed, so that it gets past the parser and means nonsense: numbers
become extreme, names refer to something else, lists lose, double or swap their elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np

INTEGERS = (0, 1, -1, 2, 3, 5, 7, 64, 127, 255, 4097, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e-30, 1e30, float("inf"), float("nan"))
MAX_FIELDS = 3  # changed in one file


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut short, sprinkled with random bytes, or with one run of extreme values."""
    broken = bytearray(data)
    kind = rng.integers(3)
    if kind == 0:
        return bytes(broken[: rng.integers(len(data))])
    if kind == 1:
        for place in rng.integers(len(data), size=rng.integers(1, 8)):
            broken[place] = rng.integers(256)
        return bytes(broken)
    start = int(rng.integers(len(data)))
    for place in range(start, min(start + 4, len(data))):
        broken[place] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
    return bytes(broken)


def _one_of(rng: np.random.Generator, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _other(value: Any, rng: np.random.Generator, names: list[Any]) -> Any:
    """Another value of the type of ``value``."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return int(_one_of(rng, (*INTEGERS, value + 1, value - 1)))
    if isinstance(value, float):
        return float(_one_of(rng, (*FLOATS, value * 2, -value)))
    if isinstance(value, (bytes, bytearray)):
        return bytes(flipped(bytes(value), rng)) if value else b"\0\1"
    return _one_of(rng, [*names, type(value)(), value + value])


# --- ONNX: protobuf messages


def changed_onnx(data: bytes, rng: np.random.Generator) -> bytes:
    """The model with one to three fields of its messages changed."""
    import onnx

    model = onnx.load_model_from_string(data)
    names = [text for node in model.graph.node for text in (*node.output, node.op_type)]
    for _ in range(int(rng.integers(1, MAX_FIELDS + 1))):
        message, field = _one_of(rng, _fields(model))
        _change_field(message, field, rng, names)
    return model.SerializeToString()


def _fields(message: Any) -> list[tuple[Any, Any]]:
    """Every field that is set, of this message and of those inside it."""
    found = []
    for field, value in message.ListFields():
        found.append((message, field))
        if field.message_type is not None:
            for child in value if field.is_repeated else [value]:
                found += _fields(child)
    return found


def _change_field(message: Any, field: Any, rng: np.random.Generator, names: list[str]) -> None:
    if rng.random() < 0.1:
        message.ClearField(field.name)
        return
    value = getattr(message, field.name)
    try:
        if not field.is_repeated:
            if field.message_type is not None:
                message.ClearField(field.name)
            else:
                setattr(message, field.name, _other(value, rng, names))
        elif len(value):
            _change_list(value, field.message_type is not None, rng, names)
    except (ValueError, TypeError, OverflowError):
        message.ClearField(field.name)  # the number does not fit the type of the field


def _change_list(items: Any, messages: bool, rng: np.random.Generator, names: list[str]) -> None:
    index, kind = int(rng.integers(len(items))), int(rng.integers(4))
    if kind == 0:
        del items[index]
    elif kind == 1:
        items.append(items[index])
    elif messages:
        other = int(rng.integers(len(items)))
        first, second = type(items[index])(), type(items[index])()
        first.CopyFrom(items[index])
        second.CopyFrom(items[other])
        items[index].CopyFrom(second)
        items[other].CopyFrom(first)
    else:
        items[index] = _other(items[index], rng, names)


# --- TFLite: objects of the schema


def changed_tflite(data: bytes, rng: np.random.Generator) -> bytes:
    """The model with one to three fields of its tables changed."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data)
    for _ in range(int(rng.integers(1, MAX_FIELDS + 1))):
        table, name = _one_of(rng, _attributes(model))
        _change_attribute(table, name, rng)
    builder = flatbuffers.Builder(1024)
    try:
        builder.Finish(model.Pack(builder), b"TFL3")
    except Exception:  # a number that its field cannot hold: the file is not well formed then
        return flipped(data, rng)
    return bytes(builder.Output())


def _attributes(table: Any) -> list[tuple[Any, str]]:
    """Every field of this table and of those inside it."""
    found = []
    for name, value in vars(table).items():
        found.append((table, name))
        children = value if isinstance(value, list) else [value]
        for child in children:
            if hasattr(child, "__dict__"):
                found += _attributes(child)
    return found


def _change_attribute(table: Any, name: str, rng: np.random.Generator) -> None:
    value = getattr(table, name)
    if rng.random() < 0.1:
        setattr(table, name, None)
        return
    if isinstance(value, np.ndarray):
        setattr(table, name, _changed_array(value, rng))
    elif isinstance(value, list) and value:
        items = list(value)
        index, kind = int(rng.integers(len(items))), int(rng.integers(3))
        if kind == 0:
            del items[index]
        elif kind == 1:
            items.append(items[index])
        elif isinstance(items[index], (int, float, bytes)):
            items[index] = _other(items[index], rng, [])
        else:
            items[index] = items[int(rng.integers(len(items)))]
        setattr(table, name, items)
    elif isinstance(value, (bool, int, float, bytes)):
        setattr(table, name, _other(value, rng, [b"t0", b"t1"]))


def _changed_array(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if not array.size or rng.random() < 0.2:
        return array[: array.size // 2]
    changed = array.copy()
    index = int(rng.integers(array.size))
    value = _other(changed.flat[index].item(), rng, [])
    if array.dtype.kind in "iu":
        limits = np.iinfo(array.dtype)
        value = min(max(value, limits.min), limits.max)
    changed.flat[index] = value
    return changed
