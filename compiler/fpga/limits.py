# SPDX-License-Identifier: Apache-2.0
"""What the engine can run: a straight chain of nodes that its units compute, on maps that fit it.

What a unit cannot compute, it says itself; limits of number formats are in units/checks.py.
"""

from __future__ import annotations

from tinytailor.compiler.fpga.model import resources
from tinytailor.compiler.fpga.units import UNITS, unit_of
from tinytailor.compiler.ir import Graph, Node
from tinytailor.targets.errors import InputError
from tinytailor.targets.fpga import Fpga

# What the engine runs, and within which limits; ``check`` says them of a node.
OPERATORS = {unit.kind: unit.limits for unit in UNITS}


def check(graph: Graph, fpga: Fpga) -> None:
    """Raise one InputError listing everything that keeps ``graph`` from running on ``fpga``."""
    problems = _chain_problems(graph)
    for node in graph.nodes:
        problems += [f"{node.name}: {text}" for text in _node_problems(node, graph, fpga)]
    problems += [f"{fpga.name}: {text}" for text in _board_problems(fpga)]
    if problems:
        listing = "\n".join(f"  {problem}" for problem in problems)
        raise InputError(
            f"{graph.name} cannot run on the engine of {fpga.name}, {len(problems)} "
            f"problem{'s' if len(problems) > 1 else ''}:\n{listing}"
        )


def _chain_problems(graph: Graph) -> list[str]:
    problems = []
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        problems.append(
            f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs, expected one of each"
        )
    if not graph.nodes:
        problems.append("no layers, expected at least one")
    previous = graph.inputs[0] if graph.inputs else ""
    for node in graph.nodes:
        if node.inputs != (previous,):
            problems.append(
                f"{node.name}: reads {', '.join(node.inputs)}, expected only {previous}: "
                "the engine runs straight chains"
            )
        previous = node.output
    if graph.nodes and graph.outputs and graph.outputs[-1] != previous:
        problems.append(f"the output is {graph.outputs[-1]}, expected the last layer's, {previous}")
    return problems


def _node_problems(node: Node, graph: Graph, fpga: Fpga) -> list[str]:
    unit = unit_of(node)
    if unit is None:
        known = " or ".join(unit.expected for unit in UNITS)
        return [f"operator {node.op.kind}, expected {known}"]
    tensors = [graph.tensors[name] for name in (*node.inputs, node.output)]
    problems = [
        f"{tensor.name} is {tensor.dtype} of shape {tensor.shape}, expected int8 (1, H, W, C)"
        for tensor in tensors
        if tensor.dtype != "int8" or len(tensor.shape) != 4 or tensor.shape[0] != 1
    ]
    if problems:
        return problems
    limit = fpga.engine.max_channels
    problems = [
        f"{tensor.name} has {tensor.shape[3]} channels, at most {limit} fit"
        for tensor in tensors
        if tensor.shape[3] > limit
    ]
    return problems + unit.problems(node, tensors[0].shape, fpga)


def _board_problems(fpga: Fpga) -> list[str]:
    problems = [problem for unit in UNITS for problem in unit.board_problems(fpga)]
    for key, used in resources(fpga).items():
        available = getattr(fpga, key)
        if used > available:
            problems.append(f"the engine is modelled at {used} {key}, the part has {available}")
    return problems
