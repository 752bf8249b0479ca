# SPDX-License-Identifier: Apache-2.0
"""Passes over the integer graph: smaller, faster, the same integers.

    graph, report = optimize(graph)

runs ``PIPELINE`` from the first to the last; each stage is checked. A new pass is a file here and
a line there. What is compiled, priced and saved is the optimized graph.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytailor.compiler.execute import equal, execute, random_inputs
from tinytailor.compiler.ir import Graph, check
from tinytailor.compiler.passes.base import Note, Notes, Pass
from tinytailor.compiler.passes.dead_channels import remove_dead_channels
from tinytailor.compiler.passes.duplicates import merge_duplicates
from tinytailor.compiler.passes.identities import remove_identities
from tinytailor.compiler.passes.listing import listing
from tinytailor.compiler.passes.lookups import fuse_lookups
from tinytailor.compiler.passes.order import order_for_memory
from tinytailor.compiler.passes.pads import fold_pads
from tinytailor.compiler.passes.residuals import fuse_residuals
from tinytailor.compiler.project import new_folder
from tinytailor.targets.errors import CheckError, InputError

PIPELINE: tuple[Pass, ...] = (
    remove_identities,
    fuse_lookups,
    fold_pads,
    merge_duplicates,
    remove_dead_channels,
    fuse_residuals,  # before the order changes: what is fused depends on the layers near it only,
    order_for_memory,  # so a search space can list the operators of all its networks
)
# These look at the values of constants, which a network that is only priced does not have yet.
NEEDS_WEIGHTS: frozenset[Pass] = frozenset({fuse_lookups, merge_duplicates, remove_dead_channels})
_STAGE = r"\d\d_\w+\.txt"
CHECKED_INPUTS = 2  # seeded random inputs that the optimized graph is compared on


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A pass that ran: the graph it left, and its notes."""

    name: str
    graph: Graph
    notes: tuple[Note, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "nodes": len(self.graph.nodes),
            "notes": [note.to_json() for note in self.notes],
        }


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The stages in order; the first is the graph as it came."""

    stages: tuple[Stage, ...]

    def to_json(self) -> list[dict[str, Any]]:
        return [stage.to_json() for stage in self.stages]


def optimize(
    graph: Graph, *, weights: bool = True, pipeline: Sequence[Pass] = PIPELINE
) -> tuple[Graph, Report]:
    """``graph`` after the passes; ``weights=False``: those only that hold for any weights."""
    stages = [Stage("import", check(graph, weights=weights), _imported(graph))]
    for step in pipeline:
        if weights or step not in NEEDS_WEIGHTS:
            before, (graph, notes) = graph, step(graph)
            if graph is not before:
                check(graph, weights=weights)
            stages.append(Stage(step.__name__, graph, tuple(notes)))
    return graph, Report(tuple(stages))


def _imported(graph: Graph) -> tuple[Note, ...]:
    """What the importer folded: quantization into scales, biases and clamps into their operator,
    batch norm into weights, transposes into the order of memory; and what it could not keep."""
    if not graph.imported:
        return ()
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(graph.imported.items()))
    total = sum(graph.imported.values())
    folded = Note("", f"{total} operations became {len(graph.nodes)} nodes: {kinds}")
    return (folded, *(Note(node, text, changed=False) for node, text in graph.notes.items()))


def check_dump(folder: Path) -> None:
    """InputError unless ``folder`` is new, empty, or holds the stages of an earlier dump only."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder}: is a file; the stages need a folder of their own")
    foreign = [path.name for path in folder.iterdir() if not re.fullmatch(_STAGE, path.name)]
    if foreign:
        raise InputError(
            f"{folder}: holds {min(foreign)}, which is no dumped stage; choose an empty or new "
            "folder"
        )


def write_stages(report: Report, folder: Path) -> None:
    """The graph after each stage as text: 00_import.txt, 01_...; all of them or none."""
    check_dump(folder)
    with new_folder(folder) as temporary:
        for index, stage in enumerate(report.stages):
            notes = [f"# {note.node}: {note.text}\n" for note in stage.notes]
            text = listing(stage.graph) + "".join(notes)
            (temporary / f"{index:02d}_{stage.name}.txt").write_text(text, "utf-8")


def require_equal(original: Graph, optimized: Graph) -> None:
    """CheckError unless both compute the same integers on seeded inputs."""
    inputs = random_inputs(original, CHECKED_INPUTS)
    if not equal(execute(original, *inputs), execute(optimized, *inputs)):
        raise CheckError(
            f"{original.name}: the passes changed what the network computes; this is a defect of "
            "tinytailor, please report it with the model"
        )


__all__ = [
    "NEEDS_WEIGHTS",
    "PIPELINE",
    "Note",
    "Notes",
    "Pass",
    "Report",
    "Stage",
    "check_dump",
    "listing",
    "optimize",
    "require_equal",
    "write_stages",
]
