# SPDX-License-Identifier: Apache-2.0
"""What a network costs on a board: the sum of what its operators cost, and its memory.

cycles = glue(base + n * per_node) + sum over nodes of the board model of the node's counts
arena  = the planner's (compiler.plan_memory), always exact

RAM and flash come in two levels, and ``provenance`` names the level. With a toolchain the network's
program is compiled and linked, and they are the image's to the byte, in about a second. Without,
for the thousands of networks of a search, they are sums over the table, and a few bytes too much:

RAM    = arena + input + output + static data + stack
flash  = image of an empty network + n * node + constants + code of each key + shared functions
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinytailor.compiler.ir import Graph
from tinytailor.compiler.memory.aliasing import places
from tinytailor.compiler.memory.predicted import plan_footprints
from tinytailor.compiler.opkey import key_of
from tinytailor.compiler.passes import optimize
from tinytailor.latency_tables.estimate import EstimatedTable, Estimates
from tinytailor.latency_tables.measuring.glue import aligned, in_words
from tinytailor.latency_tables.table.footprints import node_footprint
from tinytailor.latency_tables.table.latency_table import LatencyTable
from tinytailor.latency_tables.table.origin import require_valid_for
from tinytailor.latency_tables.table.records import Glue, Measurement, Work
from tinytailor.targets import Board, LatencyModel, Toolchain

ARENA = "exact: the plan of the emitted C"
FAR_BYTES = 4  # what a call takes more than in the glue's chains, if its tensors lie far apart


@dataclass(frozen=True, slots=True)
class NodeCost:
    """The share of one node: its name in the graph, and its row of the table."""

    name: str
    cycles: float
    latency_ms: float
    row: Measurement


@dataclass(frozen=True, slots=True)
class Cost:
    """Predicted cost of a network; ``provenance`` says where each number comes from.

    ``latency_range_ms`` is known for boards whose measurements agree with two sets of constants.
    """

    latency_ms: float
    cycles: float
    instructions: int
    arena_bytes: int
    ram_bytes: int
    flash_bytes: int
    glue_cycles: float
    per_node: tuple[NodeCost, ...]
    provenance: dict[str, str]
    estimates: Estimates | None = None  # None: every operator was measured
    latency_range_ms: tuple[float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        numbers = (
            "latency_ms",
            "cycles",
            "instructions",
            "arena_bytes",
            "ram_bytes",
            "flash_bytes",
            "glue_cycles",
            "provenance",
        )
        layers = [
            {"name": n.name, "cycles": n.cycles, "latency_ms": n.latency_ms} for n in self.per_node
        ]
        estimated = None if self.estimates is None else self.estimates.to_json()
        values = {name: getattr(self, name) for name in numbers}
        if self.latency_range_ms is not None:
            values["latency_range_ms"] = list(self.latency_range_ms)
        return {**values, "estimated": estimated, "layers": layers}


@dataclass(frozen=True, slots=True)
class _Memory:
    arena_bytes: int
    ram_bytes: int
    flash_bytes: int
    provenance: dict[str, str]


def network_cost(
    graph: Graph,
    table: LatencyTable | EstimatedTable,
    board: Board,
    *,
    weights: bool = True,
    toolchain: Toolchain | None = None,
) -> Cost:
    """The cost of ``graph`` as it is compiled for ``board``; RAM and flash exact with a toolchain.

    ``weights=False`` if its constants are placeholders: then what only their values decide, such as
    channels that could go, is left as it is. InputError names the command if the table lacks a row;
    an EstimatedTable estimates it, and the cost says so.
    """
    require_valid_for(table.header, table.path, board)
    isa = str(board.core.isa)
    graph, _ = optimize(graph, weights=weights)
    found = places(graph)
    running = tuple(node for node in graph.nodes if node.name not in found.views)
    keys = [key_of(node, graph, isa) for node in running]
    rows = [table[key] for key in keys]
    estimates = table.estimates(keys) if isinstance(table, EstimatedTable) else None
    glue = table.header.glue
    glue_work = glue.base + glue.per_node.times(len(rows))
    glue_cycles = glue_work.glue_cycles(board.latency)
    nodes = tuple(
        _node_cost(node.name, row, board) for node, row in zip(running, rows, strict=True)
    )
    cycles = glue_cycles + sum(node.cycles for node in nodes)
    between = board.latency.range_of(lambda model: _cycles(glue_work, rows, model))
    if toolchain is None:
        needs = {
            node.name: node_footprint(graph, node, row, table.header)
            for node, row in zip(running, rows, strict=True)
        }
        arena = plan_footprints(graph, found, needs).arena_bytes
        constants = sum(one.placed_bytes for one in needs.values())
        memory = _summed_memory(_borders(graph), arena, constants, rows, glue, board, estimates)
    else:
        memory = _linked_memory(graph, board, toolchain, weights)
    return Cost(
        latency_ms=cycles / board.clock_hz * 1e3,
        cycles=cycles,
        instructions=glue_work.instructions + sum(row.instructions for row in rows),
        arena_bytes=memory.arena_bytes,
        ram_bytes=memory.ram_bytes,
        flash_bytes=memory.flash_bytes,
        glue_cycles=glue_cycles,
        per_node=nodes,
        provenance=_latency_provenance(table, board, estimates) | memory.provenance,
        estimates=estimates,
        latency_range_ms=None if between is None else _milliseconds(between, board),
    )


def _cycles(glue: Work, rows: Sequence[Measurement], model: LatencyModel) -> float:
    return glue.glue_cycles(model) + sum(row.cycles_under(model) for row in rows)


def _milliseconds(cycles: tuple[float, float], board: Board) -> tuple[float, float]:
    low, high = (value / board.clock_hz * 1e3 for value in cycles)
    return low, high


def _linked_memory(graph: Graph, board: Board, toolchain: Toolchain, weights: bool) -> _Memory:
    from tinytailor.compiler.mcu.linked import image_memory  # loads what prints code

    image = image_memory(graph, board, toolchain, weights=weights)
    program = f"exact: the program compiled and linked by {toolchain.version}"
    if not weights:
        program += ", before it has weights"
    how = {
        "arena": ARENA,
        "ram": f"{program}, and the worst case of its call graph",
        "flash": program,
    }
    return _Memory(image.arena_bytes, image.ram_bytes, image.flash_bytes, how)


def _borders(graph: Graph) -> int:
    """Bytes of inputs and outputs."""
    return sum(aligned(graph.tensors[name].bytes) for name in (*graph.inputs, *graph.outputs))


def _summed_memory(
    border: int,
    arena: int,
    constants: int,
    rows: Sequence[Measurement],
    glue: Glue,
    board: Board,
    estimates: Estimates | None,
) -> _Memory:
    # The function that calls the layers keeps up to two registers more in some networks.
    stack = glue.stack_bytes + max((row.stack_bytes for row in rows), default=0) + 8
    library = {name: size for row in rows for name, size in row.library.items()}
    code = _code_bytes(rows) + sum(map(in_words, library.values()))
    fixed = board.boot_bytes + glue.image_bytes + (glue.node_bytes + FAR_BYTES) * len(rows)
    guessed = "" if estimates is None else "; where estimated, the largest of its kind"
    return _Memory(
        arena,
        arena + border + glue.static_bytes + stack,
        in_words(fixed + constants + code),
        {
            "arena": ARENA,
            "ram": "summed: arena exact, stack: worst case of each operator's call graph" + guessed,
            "flash": "summed: constants exact, code measured per operator" + guessed,
        },
    )


def _code_bytes(rows: Sequence[Measurement]) -> int:
    """Layers of one key share their code if constants are all that tells them apart."""
    shared = {row.key: in_words(row.code_bytes) for row in rows if row.entry_bytes}
    alone = sum(in_words(row.code_bytes) for row in rows if not row.entry_bytes)
    return sum(shared.values()) + alone + sum(in_words(row.entry_bytes) for row in rows)


def _node_cost(name: str, row: Measurement, board: Board) -> NodeCost:
    cycles = row.cycles_under(board.latency)
    return NodeCost(name, cycles, cycles / board.clock_hz * 1e3, row)


def _latency_provenance(
    table: LatencyTable | EstimatedTable, board: Board, estimates: Estimates | None
) -> dict[str, str]:
    guessed = "" if estimates is None else f"{estimates.text}; "
    target, core = table.header.target, table.header.core
    where = f"the emulated {core}" if target is None else f"a {target}, glue modelled"
    return {
        "latency": f"sum of operators measured alone on {where} "
        f"({len(table)} rows, {table.header.toolchain_version}); {guessed}"
        f"board constants: {board.latency.trust}",
    }
