# SPDX-License-Identifier: Apache-2.0
"""An integer graph as one .npz file: the structure as JSON, the constants as arrays.

Written beside the emitted code, it lets verification run without the model the code came from.
Operators and the records within them are objects with the name of their class under "record".
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.compiler.ir import Graph, Node, Tensor, check
from tinytailor.compiler.ops import OPERATORS
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError

VERSION = 2
RECORDS = (Tensor, Window, Requant)  # besides operators


def save_graph(graph: Graph, path: Path) -> None:
    structure = {
        "version": VERSION,
        "name": graph.name,
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "tensors": [_written(tensor) for tensor in graph.tensors.values()],
        "nodes": [
            {
                "name": node.name,
                "op": _written(node.op),
                "inputs": node.inputs,
                "output": node.output,
            }
            for node in graph.nodes
        ],
    }
    arrays = {
        f"{i}.{role}": array
        for i, node in enumerate(graph.nodes)
        for role, array in sorted(node.constants.items())
    }
    text = np.frombuffer(json.dumps(structure).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez_compressed(file, graph=text, **arrays)  # type: ignore[arg-type]


def load_graph(path: Path) -> Graph:
    try:
        with np.load(path, allow_pickle=False) as stored:
            structure = json.loads(stored["graph"].tobytes())
            arrays = {name: stored[name] for name in stored.files if name != "graph"}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a saved integer graph ({error})") from error
    if structure.get("version") != VERSION:
        raise InputError(
            f"{path}: graph format version {structure.get('version')}, this tool reads {VERSION}; "
            "compile the model again"
        )
    nodes = tuple(_node(i, record, arrays) for i, record in enumerate(structure["nodes"]))
    tensors = {record["name"]: _read(record) for record in structure["tensors"]}
    inputs, outputs = tuple(structure["inputs"]), tuple(structure["outputs"])
    return check(Graph(structure["name"], inputs, outputs, tensors, nodes))


def _node(index: int, record: dict[str, Any], arrays: dict[str, np.ndarray]) -> Node:
    prefix = f"{index}."
    constants = {
        name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)
    }
    inputs, output = tuple(record["inputs"]), record["output"]
    return Node(record["name"], _read(record["op"]), inputs, output, constants)


def _written(record: Any) -> dict[str, Any]:
    values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {
        "record": type(record).__name__,
        **{n: _written(v) if dataclasses.is_dataclass(v) else v for n, v in values.items()},
    }


def _read(value: Any) -> Any:
    """The value of JSON, which has lists only: tuples, and records of their class."""
    if isinstance(value, list):
        return tuple(map(_read, value))
    if isinstance(value, dict):
        fields = {name: _read(field) for name, field in value.items() if name != "record"}
        return _class_of(value["record"])(**fields)
    return value


def _class_of(name: str) -> Any:
    known = {record.__name__: record for record in (*RECORDS, *OPERATORS.values())}
    if name not in known:
        raise InputError(f"a saved graph holds a {name}, which is no operator of this tool")
    return known[name]
