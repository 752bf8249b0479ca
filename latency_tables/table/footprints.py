# SPDX-License-Identifier: Apache-2.0
"""What an operator needs of memory, from its row where the row can say it, else lowered anew.

Lowering one takes tens of milliseconds. A row keeps what came out of it; that holds as long as the
code generator is the one that the table was measured with.
"""

from __future__ import annotations

from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.memory.predicted import Footprint, footprint, footprint_of
from tinytailor.compiler.opkey import OpKey
from tinytailor.latency_tables.table.origin import compiler_digest
from tinytailor.latency_tables.table.records import Header, Measurement, Placement


def placement_of(key: OpKey) -> Placement:
    """For the row of ``key``."""
    one = footprint(key)
    overlap = {str(index): distance for index, distance in sorted(one.overlap.items())}
    return Placement(one.placed_bytes - one.constant_bytes, overlap)


def node_footprint(graph: Graph, node: Node, row: Measurement, header: Header) -> Footprint:
    """Of a node of ``graph`` whose row, of a table with this header, is ``row``."""
    known = row.placement
    if known is None or node.op.placed_by_constants or header.compiler != compiler_digest():
        return footprint_of(graph, node, row.key)
    overlap = {int(index): distance for index, distance in known.overlap.items()}
    placed = row.constant_bytes + known.gap_bytes
    return Footprint(row.scratch_bytes, row.constant_bytes, placed, overlap)
