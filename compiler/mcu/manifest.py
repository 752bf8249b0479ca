# SPDX-License-Identifier: Apache-2.0
"""What the manifest of a project says of its program, before anything is measured."""

from __future__ import annotations

from typing import Any

from tinytailor.compiler.mcu.c_text import float_layers
from tinytailor.compiler.mcu.interface import border_records, classes_of
from tinytailor.compiler.mcu.program import Program
from tinytailor.compiler.memory.plan import MemoryPlan
from tinytailor.compiler.project import GENERATOR, tool_version
from tinytailor.targets import Board


def manifest_of(program: Program, board: Board, model_sha256: str) -> dict[str, Any]:
    """The keys that ``measure`` does not give."""
    graph, plan = program.graph, program.plan
    return {
        "generator": GENERATOR,
        "version": tool_version(),
        "name": program.name,
        "target": board.name,
        "kind": board.kind,
        "model_sha256": model_sha256,
        "inputs": border_records(graph, graph.inputs),
        "outputs": border_records(graph, graph.outputs),
        "classes": list(classes_of(graph)),
        "training": None if graph.training is None else graph.training.to_json(),
        "arena_lower_bound_bytes": plan.lower_bound_bytes,
        "arena_optimal": plan.optimal,
        "arena": arena_records(plan),
        "constant_bytes": program.constant_bytes,
        "float_layers": float_layers(graph),
    }


def arena_records(plan: MemoryPlan) -> list[dict[str, Any]]:
    """The buffers of the arena: where they lie, from which node to which, and what lies in them."""
    records = []
    for buffer in sorted(plan.buffers, key=lambda b: (b.first, plan.start(b), b.name)):
        end = buffer.start + buffer.bytes
        inside = [
            tensor
            for tensor, at in plan.place.items()
            if at.home == buffer.home and buffer.start <= at.offset < end
        ]
        records.append(
            {
                "name": buffer.name,
                "offset": plan.start(buffer),
                "bytes": buffer.bytes,
                "first": buffer.first,
                "last": buffer.last,
                "tensors": inside,
            }
        )
    return records
