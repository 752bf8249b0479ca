# SPDX-License-Identifier: Apache-2.0
"""An integer graph as one .npz file: the structure as JSON, the constants as arrays.

Written beside the emitted code, it lets verification run without the model the code came from.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.compiler.ir import Graph, Node, Tensor, check
from tinytailor.compiler.ops import OPERATORS, Add
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.float_op import FloatOp
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.errors import InputError

VERSION = 1
RUNNABLE = {**OPERATORS, FloatOp.kind: FloatOp}
RECORDS = {"requant": Requant, "add": Add}  # records within operators, by field


def save_graph(graph: Graph, path: Path) -> None:
    structure = {
        "version": VERSION,
        "name": graph.name,
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "tensors": [dataclasses.asdict(t) for t in graph.tensors.values()],
        "nodes": [
            {
                "name": node.name,
                "kind": node.op.kind,
                "op": dataclasses.asdict(node.op),  # type: ignore[call-overload]
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
    tensors = {t["name"]: Tensor(**{**t, "shape": tuple(t["shape"])}) for t in structure["tensors"]}
    inputs, outputs = tuple(structure["inputs"]), tuple(structure["outputs"])
    return check(Graph(structure["name"], inputs, outputs, tensors, nodes))


def _node(index: int, record: dict[str, Any], arrays: dict[str, np.ndarray]) -> Node:
    prefix = f"{index}."
    constants = {
        name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)
    }
    op = _operator(record["kind"], record["op"])
    return Node(record["name"], op, tuple(record["inputs"]), record["output"], constants)


def _operator(kind: str, fields: dict[str, Any]) -> Operator:
    values = {name: _tuples(value) for name, value in fields.items()}
    for name, value in values.items():
        if isinstance(value, dict):
            values[name] = RECORDS[name](**value)
    return RUNNABLE[kind](**values)


def _tuples(value: Any) -> Any:
    """JSON has lists only."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
