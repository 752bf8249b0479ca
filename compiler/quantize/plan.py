# SPDX-License-Identifier: Apache-2.0
"""Which tensors of a float model become integers, and which of them share one scale.

    Conv -> Relu -> Reshape -> HardSigmoid -> Mul      q: quantized here
            q       q = same                  q

What the compiler computes in one operator stays real inside: a layer and its bias and clamp, and
any function of the single elements of one tensor. What only moves numbers keeps their scale, and
so do the parts of a concatenation and of a maximum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tinytailor.compiler.frontend.rules import ONNX
from tinytailor.compiler.quantize.calibrate import Range, graph_inputs
from tinytailor.compiler.quantize.prepare import attribute

LAYERS = {"Conv", "ConvTranspose", "Gemm", "MatMul", "DeformConv"}
CLAMPING = LAYERS | {"Add", "Sub", "Mul", "GlobalAveragePool", "ReduceMean"}
CLAMPS = {"Relu", "Clip"}
SCALINGS = {"Add", "Div", "Mul", "Sub"}
VIEWS = {"Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
POINTWISE = {name for name, form in ONNX.items() if form.pointwise}
FIXED: Mapping[str, Range] = {name: form.results for name, form in ONNX.items() if form.results}


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """Who makes and who reads each tensor of a graph; ``real``: its float tensors."""

    nodes: tuple[Any, ...]
    constants: Mapping[str, Any]
    makers: Mapping[str, Any]
    readers: Mapping[str, list[Any]]
    outputs: frozenset[str]
    inputs: tuple[str, ...]
    real: frozenset[str]
    shapes: Mapping[str, tuple[int, ...]]

    def variable(self, node: Any) -> list[str]:
        """The inputs of ``node`` that are no constants."""
        return [name for name in node.input if name and name not in self.constants]

    def read_once(self, name: str) -> bool:
        return len(self.readers.get(name, ())) == 1 and name not in self.outputs


def wiring(model: Any) -> Wiring:
    from onnx import TensorProto

    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    values = [*graph.input, *graph.value_info, *graph.output]
    return Wiring(
        tuple(graph.node),
        constants,
        {name: node for node in graph.node for name in node.output},
        readers,
        frozenset(value.name for value in graph.output),
        tuple(graph_inputs(model)),
        frozenset(v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT),
        {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
        | {name: tuple(tensor.dims) for name, tensor in constants.items()},
    )


def integers_of(wires: Wiring) -> list[str]:
    """The tensors to quantize, in the order they are made."""
    inside = {name for node in wires.nodes for name in taken_inside(node, wires)}
    inside |= preprocessed(wires)
    order = [*wires.inputs, *(name for node in wires.nodes for name in node.output)]
    candidates = [name for name in order if name in wires.real and name not in inside]
    chosen: set[str] = set()
    while True:
        base, behind = bases(wires, chosen, inside)
        fresh = [name for name in candidates if name not in chosen]
        more = {name for name in fresh if ends(name, base, behind, wires)}
        if not more:
            return [name for name in candidates if name in chosen]
        chosen |= more


def taken_inside(node: Any, wires: Wiring) -> list[str]:
    """What ``node`` takes over unquantized, as the clamp or the bias of a layer.

    Between a layer and its clamp the numbers may get another shape.
    """
    variable = wires.variable(node)
    names: list[str] = []
    while len(variable) == 1 and wires.read_once(variable[0]) and variable[0] in wires.makers:
        names.append(variable[0])
        maker = wires.makers[variable[0]]
        if node.op_type == "Add" and maker.op_type == "MatMul":
            return names if len(wires.variable(maker)) == 1 else []
        if node.op_type not in CLAMPS:
            return []
        if maker.op_type in CLAMPING:
            alone = maker.op_type not in LAYERS and scalar_function(maker, wires)
            return [] if alone else names
        if maker.op_type not in VIEWS:
            return []
        variable = wires.variable(maker)
    return []


def preprocessed(wires: Wiring) -> set[str]:
    """Pixels on their way to the first quantized tensor: cast to real numbers, moved, and scaled
    by constants, which is a table for each channel."""
    names: set[str] = set()
    for node in wires.nodes:
        variable = wires.variable(node)
        cast = node.op_type == "Cast" and variable and variable[0] in wires.inputs
        follows = node.op_type in SCALINGS | VIEWS and len(variable) == 1 and variable[0] in names
        names.update(node.output if cast or follows else ())
    return {
        name
        for name in names
        if all(set(node.output) <= names for node in wires.readers.get(name, ()))
        and name not in wires.outputs
    }


def scalar_function(node: Any, wires: Wiring) -> bool:
    """Whether it has other operands, which are single numbers."""
    return numbers_only(node, wires) and any(name in wires.constants for name in node.input)


def numbers_only(node: Any, wires: Wiring) -> bool:
    """Whether all its constants are single numbers."""
    sizes = [wires.constants[name].dims for name in node.input if name in wires.constants]
    return all(size == 1 for dims in sizes for size in dims)


def bases(
    wires: Wiring, chosen: Iterable[str], inside: set[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Tensor -> the quantized tensor that its readers see: itself where it is chosen, else the
    one it is an elementwise function of; and the latter for all.
    """
    base: dict[str, str] = {name: name for name in wires.inputs}
    behind = dict(base)
    for node in wires.nodes:
        variable = {base.get(name, name) for name in wires.variable(node)}
        alone = numbers_only(node, wires) or len(wires.variable(node)) == 2
        follows = node.op_type in POINTWISE and alone and len(variable) == 1
        follows = follows and not inside & set(node.input)
        for name in node.output:
            whole = wires.shapes.get(name) == wires.shapes.get(next(iter(variable), ""), ())
            behind[name] = next(iter(variable)) if follows and whole else name
            base[name] = name if name in chosen else behind[name]
    return base, behind


def ends(name: str, base: Mapping[str, str], behind: Mapping[str, str], wires: Wiring) -> bool:
    """Whether ``name`` is read as integers: it is a result, or some reader is no function of it."""
    if base[name] == name or name in wires.outputs:
        return True
    results = [output for node in wires.readers.get(name, ()) for output in node.output]
    return any(behind.get(result) != base[name] for result in results)


def tied(wires: Wiring, chosen: Iterable[str]) -> dict[str, str]:
    """Tensor -> the tensor that stands for all those of its scale."""
    parent = {name: name for name in chosen}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for node in wires.nodes:
        moves = node.op_type in ONNX and ONNX[node.op_type].keeps_scale
        if node.op_type == "Resize" and attribute(node, "mode", b"nearest") == b"cubic":
            moves = False
        joins = node.op_type in ("Concat", "Max", "Min") and len(wires.variable(node)) > 1
        if not moves and not joins:
            continue
        sources = node.input if joins else node.input[:1]
        group = [name for name in [*sources, *node.output] if name in parent]
        for name in group[1:]:
            parent[root(name)] = root(group[0])
    return {name: root(name) for name in parent}


def shared_ranges(
    wires: Wiring, chosen: Iterable[str], measured: Mapping[str, Range]
) -> dict[str, Range]:
    """The range of each tensor: that of all tied to it, or the fixed one of a softmax."""
    groups = tied(wires, chosen)
    together: dict[str, Range] = {}
    fixed: dict[str, Range] = {}
    members = Counter(groups.values())
    for name, group in groups.items():
        low, high = measured[name]
        old = together.get(group, (0.0, 0.0))
        together[group] = (min(low, old[0], 0.0), max(high, old[1], 0.0))
        maker = wires.makers.get(name)
        if maker is not None and maker.op_type in FIXED:
            fixed[group] = FIXED[maker.op_type]
    for group, (low, high) in fixed.items():
        inside = low - 1e-3 <= together[group][0] and together[group][1] <= high + 5e-3
        if inside or members[group] == 1:
            together[group] = (low, high)
    return {name: together[group] for name, group in groups.items()}
