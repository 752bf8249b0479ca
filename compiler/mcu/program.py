# SPDX-License-Identifier: Apache-2.0
"""A network lowered for an instruction set: one value, made once, and all that is emitted is a
function of it.

    lower    places -> kernels -> arena -> addresses        here
    print    Program -> C text, the files of a project      c_text.py, project.py
    build    files -> a program, its sizes                  build.py
    run      inputs -> outputs, counts, costs               run.py, host.py, on_board.py, measure.py
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.kernels.c_function import PARAMETER_BYTES, POINTER_BYTES, Kernel
from tinytailor.compiler.kernels.lowering import lower_node
from tinytailor.compiler.mcu.interface import Function, Interface, border_names, symbol
from tinytailor.compiler.memory.aliasing import Places, places
from tinytailor.compiler.memory.plan import MemoryPlan, plan_kernels, scratch_name

ARENA = "arena"


@dataclass(frozen=True, slots=True)
class Address:
    """``offset`` bytes into ``base``: the arena, or a parameter of the invoke function."""

    base: str
    offset: int

    @property
    def is_parameter(self) -> bool:
        """Whether it is a pointer that the caller gave, as it is."""
        return self.base != ARENA and not self.offset

    def __str__(self) -> str:
        return f"{self.base} + {self.offset}" if self.offset else self.base


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A node that runs: the function that computes it, and where its tensors lie."""

    node: Node
    kernel: Kernel
    inputs: tuple[Address, ...]
    output: Address
    scratch: Address | None


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """``layers`` in order of execution; nodes without one are views: ``plan`` says of what.

    ``constant_bytes`` in flash, where equal arrays lie once.
    """

    name: str
    graph: Graph
    layers: tuple[Layer, ...]
    plan: MemoryPlan
    constant_bytes: int

    @property
    def kernels(self) -> dict[str, Kernel]:
        """By node name."""
        return {layer.node.name: layer.kernel for layer in self.layers}

    @property
    def interface(self) -> Interface:
        functions = {
            node: Function(kernel.symbol, kernel.code, kernel.choice.variant)
            for node, kernel in self.kernels.items()
        }
        return Interface(self.name, self.graph, functions)


def lower_graph(graph: Graph, isa: str, name: str) -> Program:
    """All nodes of ``graph`` as C functions ``<name>_<index>_<kind>``, and the arena."""
    found = places(graph)
    kernels = {
        node.name: lower_node(graph, node, isa, symbol(name, index, node))
        for index, node in enumerate(graph.nodes)
        if node.name not in found.views
    }
    return make_program(name, graph, found, kernels)


def make_program(name: str, graph: Graph, found: Places, kernels: Mapping[str, Kernel]) -> Program:
    """The program of these kernels, by node name, for a graph whose tensors lie as ``found``."""
    plan = plan_kernels(graph, found, kernels)
    shared = share_code(name, kernels, {node.name: node.op.kind for node in graph.nodes})
    at = addresses(graph, plan)
    layers = []
    for node in graph.nodes:
        if node.name not in shared:
            continue
        kernel, scratch = shared[node.name], None
        if kernel.scratch_bytes:
            scratch = Address(ARENA, plan.offsets[scratch_name(node.name)])
        inputs = tuple(at[tensor] for tensor in node.inputs)
        layers.append(Layer(node, kernel, inputs, at[node.output], scratch))
    return Program(name, graph, tuple(layers), plan, constant_bytes(shared.values()))


def addresses(graph: Graph, plan: MemoryPlan) -> dict[str, Address]:
    """Where each tensor lies while the network runs."""
    roles = border_names(graph)
    return {
        tensor: Address(roles[at.home], at.offset)
        if at.home in roles
        else Address(ARENA, plan.offsets[at.home] + at.offset)
        for tensor, at in plan.place.items()
    }


def constant_bytes(kernels: Collection[Kernel]) -> int:
    """Arrays, each content once, a pointer to each array, and a word for each parameter."""
    arrays = [array for kernel in kernels for array in kernel.constants.values()]
    words = PARAMETER_BYTES * sum(len(kernel.parameters) for kernel in kernels)
    once = {(array.dtype.name, array.tobytes()) for array in arrays}
    return words + POINTER_BYTES * len(arrays) + sum(len(data) for _, data in once)


def share_code(
    name: str, kernels: Mapping[str, Kernel], kinds: Mapping[str, str]
) -> dict[str, Kernel]:
    """Kernels of equal text get one function, ``<name>_<kind>_<number>``."""
    shared: list[Kernel] = []
    result = {}
    for node, kernel in kernels.items():
        known = next((other for other in shared if kernel.same_code(other)), None)
        if known is None and kernel.has_record:
            count = 1 + sum(other.code.startswith(f"{name}_{kinds[node]}_") for other in shared)
            known = replace(kernel, code=f"{name}_{kinds[node]}_{count}")
            shared.append(known)
        result[node] = replace(kernel, code=known.code) if known else kernel
    return result
