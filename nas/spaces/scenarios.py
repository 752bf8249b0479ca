# SPDX-License-Identifier: Apache-2.0
"""What a cell may look like: its layers under every combination of options that changes them.

Options that no condition tells apart are one group, so 7 widths are no 7 scenarios:

    hidden (0, 32, 64), kernel (3, 5)   ->   {0}, {32, 64}  x  {3}, {5}   =   4 scenarios

Presence, what is alive beside a layer and what leaves the cell are sums over scenarios.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product

from tinytailor.nas.layers import Layer
from tinytailor.nas.network.topology import INPUT, Topology
from tinytailor.nas.spaces.cells import Cell, Join, Use, Width, resolved
from tinytailor.nas.spaces.decisions import Decision, Option, When
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Span:
    """How many channels a tensor may have: ``options`` of the decision ``source``.

    ``source`` is INPUT for what enters the cell, and empty for a number that is given.
    """

    source: str
    options: tuple[int, ...]

    def under(self, conditions: Iterable[When]) -> Span:
        """The options that are left where ``conditions`` hold."""
        allowed = [set(c.options) for c in conditions if c.decision == self.source]
        return Span(self.source, tuple(o for o in self.options if all(o in a for a in allowed)))


@dataclass(frozen=True, slots=True)
class Scenario:
    """The layers where every condition of ``holds`` does, and the one that is handed on."""

    holds: tuple[When, ...]
    uses: tuple[Use, ...]
    result: str

    def spans(self, entering: Span) -> dict[str, Span]:
        """The span of every layer and of INPUT, in this scenario."""
        spans = {INPUT: entering}
        for use in self.uses:
            if len({spans[name] for name in use.reads}) > 1:
                raise InputError(f"layer {use.name} reads tensors of several widths, expected one")
            spans[use.name] = span_of(use.width, entering, spans[use.reads[0]]).under(self.holds)
        return spans

    def widest(self, shape: tuple[int, int], entering: Span) -> Topology:
        """The layers at their largest widths, over maps of ``shape``."""
        spans = self.spans(entering)
        layers = tuple(
            Layer(use.name, use.reads, use.kind.at(spans[use.name].options[-1]))
            for use in self.uses
        )
        return Topology((1, *shape, entering.options[-1]), layers)


def span_of(width: Width, entering: Span, reads: Span) -> Span:
    """Of a layer of this width that reads ``reads`` in a cell that ``entering`` enters."""
    if width is None:
        return reads
    if isinstance(width, int):
        return Span("", (width,))
    if isinstance(width, Decision):
        return Span(width.name, tuple(o for o in width.options if isinstance(o, int)))
    return entering


def scenarios(cell: Cell) -> tuple[Scenario, ...]:
    """All of them, for a cell that is not left out."""
    found = []
    for holds in product(*_groups(cell)):
        taken = {when.decision: set(when.options) for when in holds}
        found.append(Scenario(holds, *resolved(cell, partial(_implied, taken))))
    return tuple(found)


def _implied(taken: Mapping[str, set[Option]], when: When) -> bool:
    return taken[when.decision] <= set(when.options)


def _groups(cell: Cell) -> Iterator[tuple[When, ...]]:
    """For each decision that a condition names, its options in groups."""
    conditions = [w for item in cell.items if not isinstance(item, Join) for w in item.when]
    for decision in cell.decisions:
        mine = [when for when in conditions if when.decision == decision.name]
        groups: dict[tuple[bool, ...], list[Option]] = {}
        for option in decision.options:
            groups.setdefault(tuple(option in when.options for when in mine), []).append(option)
        if mine:
            yield tuple(When(decision.name, tuple(options)) for options in groups.values())


def leaving(
    cell: Cell, shape: tuple[int, int], widths: tuple[int, ...]
) -> tuple[tuple[int, int], tuple[int, ...]]:
    """The map and the numbers of channels that a cell hands on, of a map of ``shape``."""
    entering = Span(INPUT, widths)
    maps: set[tuple[int, int]] = set()
    options: set[int] = set()
    for scenario in scenarios(cell):
        topology = scenario.widest(shape, entering)
        _, height, width, _ = topology.shapes[scenario.result]
        maps.add((height, width))
        options.update(scenario.spans(entering)[scenario.result].options)
    if len(maps) != 1 or (cell.keep is not None and (maps, options) != ({shape}, set(widths))):
        raise InputError(
            f"cell {cell.name}: all its forms must hand on maps of one size, and one that may be "
            f"left out what it reads; from {shape} in {list(widths)} channels they make "
            f"{sorted(maps)} in {sorted(options)}"
        )
    return maps.pop(), tuple(sorted(options))
