# SPDX-License-Identifier: Apache-2.0
"""An emitted network from outside: how it is called, and what its layers are called.

void <name>_invoke(const int8_t *input, int8_t *output)          a pointer each, in graph order,
                                                                 of the type of the tensor
<name>_<index>_<kind>                                            the function of a layer
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinytailor.compiler.ir import Graph, Node, Tensor
from tinytailor.compiler.real_values import Standardization


@dataclass(frozen=True, slots=True)
class Function:
    """Of a node that runs: ``symbol``, and ``code``, which does the work and which nodes may share,
    as the kernel ``variant``."""

    symbol: str
    code: str
    variant: str


@dataclass(frozen=True, slots=True, eq=False)
class Interface:
    """``functions`` by node name, in order of execution."""

    name: str
    graph: Graph
    functions: Mapping[str, Function]

    @property
    def entry(self) -> str:
        return entry(self.name)


def entry(name: str) -> str:
    """The function that runs the network ``name``."""
    return f"{name}_invoke"


def symbol(name: str, index: int, node: Node) -> str:
    """The function of a node of the network ``name``."""
    return f"{name}_{index:02d}_{node.op.kind}"


def border_names(graph: Graph) -> dict[str, str]:
    """Graph inputs and outputs -> parameter names of the invoke function."""
    names = {}
    for role, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        for i, tensor in enumerate(tensors):
            names[tensor] = role if len(tensors) == 1 else f"{role}_{i}"
    return names


def invoke_parameters(graph: Graph) -> str:
    roles = border_names(graph)
    parts = [f"const {graph.tensors[t].dtype}_t *{roles[t]}" for t in graph.inputs]
    parts += [f"{graph.tensors[t].dtype}_t *{roles[t]}" for t in graph.outputs]
    return ", ".join(parts)


def border_records(graph: Graph, names: Sequence[str]) -> list[dict[str, object]]:
    """What headers and manifests say about graph inputs or outputs; ``model`` is what the model
    file says, if there is one."""
    roles = border_names(graph)
    records = []
    for name in names:
        record = _border_record(graph.tensors[name], roles[name])
        if name in graph.inputs:
            border, samples = graph.borders.get(name), graph.tensors[name].dtype != "int8"
            record |= entry_of(graph, name).to_json()
            record["standardised"] = not (samples or border is None or border.real is None)
        if name in graph.borders:
            record["model"] = graph.borders[name].to_json()
        records.append(record)
    return records


def entry_of(graph: Graph, name: str) -> Standardization:
    """How real numbers become the integers of an input."""
    border = graph.borders.get(name)
    if border is not None and border.real is not None:
        return border.real
    return Standardization.plain(graph.tensors[name].scale)


def classes_of(graph: Graph) -> tuple[str, ...]:
    """Names of the classes, if the only output has a number for each."""
    names = () if graph.training is None else graph.training.classes
    only = graph.tensors[graph.outputs[0]]
    return names if len(graph.outputs) == 1 and only.elements == len(names) else ()


def _border_record(tensor: Tensor, role: str) -> dict[str, object]:
    return {
        "name": tensor.name,
        "role": role,
        "macro": role.upper(),
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "scale": float(tensor.scale),
        "zero_point": tensor.zero_point,
        "bytes": tensor.bytes,
    }
