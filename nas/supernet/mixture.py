# SPDX-License-Identifier: Apache-2.0
"""What a cell computes under probabilities: weighted sums where networks differ.

    y = sum_k p_k * layer_k(x)           of items that write the same tensor
    y = sum_k p_k * term_k               at a join, p_k the probability that the term is there
    y = keep * cell(x) + (1 - keep) * x  of a cell that may be left out

Maps are made at full width and cut to the widths that networks have, by sum_i w_i mask_i, right
before a layer sums over channels: not before a depthwise convolution, whose batch norm makes
something of channels of zeros. At probabilities that are certain of one network this is exactly
that network, with the first channels of the shared weights.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, reduce

import torch
from torch import Tensor
from torch.nn import functional

from tinytailor.nas.network.float_network import FloatSteps
from tinytailor.nas.network.topology import INPUT, input_name
from tinytailor.nas.spaces.cells import Cell, Item, Join, Part, Pass, slot_names
from tinytailor.nas.spaces.decisions import Option, When
from tinytailor.nas.spaces.scenarios import Span
from tinytailor.nas.supernet.odds import Probabilities, mask, onto, probability, spread, times
from tinytailor.nas.supernet.plan import CellPlan, Slot

Box = Mapping[str, frozenset[Option]]  # of some decisions, the options under which a tensor exists


class Value:
    """A map at full width; networks have the channels of ``span``, with odds ``weights``.

    ``whole``: what lies beyond them is not cut off yet.
    """

    def __init__(self, x: Tensor, span: Span, weights: Tensor, whole: bool = True) -> None:
        self.x, self.span, self.weights = x, span, weights
        self.whole = whole and len(span.options) > 1

    @cached_property
    def cut(self) -> Tensor:
        return self.x * mask(self.weights, self.span.options) if self.whole else self.x

    def onto(self, span: Span) -> Value:
        """The same among ``span``, which has all of its numbers of channels."""
        if self.span.options == span.options:
            return Value(self.x, span, self.weights, self.whole)
        missing = span.options[-1] - self.x.shape[1]
        wide = functional.pad(self.cut, (0, 0, 0, 0, 0, missing))
        weights = onto(self.weights, self.span.options, span.options)
        return Value(wide, span, weights, whole=False)


Term = tuple[Tensor | None, Value]  # a weight, None being 1


def mixed(terms: Sequence[Term]) -> Value:
    """sum_k w_k x_k; where the spans differ of what is cut, and of the distributions too."""
    if len(terms) == 1 and terms[0][0] is None:
        return terms[0][1]
    weights, values = zip(*terms, strict=True)
    spans = {value.span for value in values}
    if len(spans) == 1 and len({value.whole for value in values}) == 1:
        x = _sum(weights, [value.x for value in values])
        return Value(x, values[0].span, values[0].weights, values[0].whole)
    options = tuple(sorted({option for span in spans for option in span.options}))
    alike = [value.onto(Span("", options)) for value in values]
    x = _sum(weights, [value.cut for value in alike])
    odds = alike[0].weights if len(spans) == 1 else _sum(weights, [v.weights for v in alike])
    return Value(x, Span("", options), odds, whole=False)


def _sum(weights: Iterable[Tensor | None], values: Iterable[Tensor]) -> Tensor:
    pairs = zip(weights, values, strict=True)
    return reduce(torch.add, (value if w is None else w * value for w, value in pairs))


class CellMixture:
    """The forward of one cell with shared weights; see the module's text."""

    def __init__(self, plan: CellPlan, steps: FloatSteps) -> None:
        self.plan, self.cell, self.steps = plan, plan.stage.cell, steps
        self.boxes = boxes(self.cell)
        self.placed = {name: slot.widest().steps for name, slot in plan.slots.items()}
        self.inner = {name: slot.inner_widths() for name, slot in plan.slots.items()}

    def __call__(self, value: Value, p: Probabilities) -> Value:
        """What leaves the cell, of what enters it."""
        entering = value.onto(self.plan.entering)
        values, terms = {INPUT: entering}, defaultdict[str, list[Term]](list)
        last = {item.tensor: item for item in self.cell.items}
        for item, slot in zip(self.cell.items, slot_names(self.cell), strict=True):
            tensor = item.tensor
            if not isinstance(item, Part) or slot in self.plan.slots:  # else no network has it
                share = self._share(p, self.boxes[slot], self.boxes[tensor])
                terms[tensor].append((share, self._written(item, slot, values, p)))
            if item is last[tensor]:
                values[tensor] = mixed(terms[tensor])
        result, keep = values[self.cell.items[-1].tensor], self.cell.keep
        if keep is None:
            return result
        return mixed([(p[keep.name][1], result), (p[keep.name][0], entering)])

    def _written(
        self, item: Item, slot: str, values: Mapping[str, Value], p: Probabilities
    ) -> Value:
        """What one item makes of the values before it."""
        if isinstance(item, Pass):
            return values[item.reads]
        if isinstance(item, Part):
            return self._layer(self.plan.slots[slot], item.reads, values, p)
        terms = [name for name in values if name in dict(item.terms)]  # as they were computed
        whole = self.boxes[slot]
        total = mixed([(self._share(p, self.boxes[name], whole), values[name]) for name in terms])
        # Whoever has a kind that does more than add has two terms in all of its networks.
        return Value(item.kind.joined(total.x), total.span, total.weights, total.whole)

    def _layer(
        self, slot: Slot, reads: Sequence[str], values: Mapping[str, Value], p: Probabilities
    ) -> Value:
        """A layer at its widest; what it sums over channels is cut first, inside of it as well."""
        entering, decisions = values[INPUT].weights, self.cell.decision
        leaving = spread(p, decisions, slot.writes, entering)
        known = {input_name(i): values[name] for i, name in enumerate(reads)}
        steps = self.placed[slot.name]
        for step in steps:
            sources = [known[name] for name in step.sources]
            inputs = [v.cut if step.primitive.mixes else v.x for v in sources]
            y = self.steps.compute(step, inputs)
            if step is steps[-1]:
                return Value(y, slot.writes, leaving)
            own = spread(p, decisions, slot.reads, entering)
            pairs = leaving if slot.one_width else torch.outer(leaving, own).flatten()
            known[step.name] = Value(y, Span("", self.inner[slot.name][step.name]), pairs)
        raise AssertionError("a layer without steps")

    def _share(self, p: Probabilities, inner: Box, outer: Box) -> Tensor | None:
        """The probability of ``inner`` where ``outer``, which holds it, is certain; None for 1."""
        share: Tensor | None = None
        for name, options in inner.items():
            if options == outer.get(name):
                continue
            decision = self.cell.decision[name]
            share = times(share, probability(p, decision, decision.among(*options)))
            if name in outer:
                whole = probability(p, decision, decision.among(*outer[name]))
                assert share is not None
                assert whole is not None
                share = share / whole.clamp(min=1e-9)
        return share


def boxes(cell: Cell) -> dict[str, Box]:
    """Of every tensor and every slot; decisions that do not matter are left out."""
    found: dict[str, Box] = {INPUT: {}}
    for item, slot in zip(cell.items, slot_names(cell), strict=True):
        if isinstance(item, Join):
            own = _union(cell, [found[tensor] for tensor, _ in item.terms])
        else:
            own = _condition(item.when)
        before = found.get(item.tensor)
        found[item.tensor] = own if before is None else _union(cell, [before, own])
        found[slot] = own if slot != item.tensor else found[slot]
    return found


def _condition(conditions: Sequence[When]) -> Box:
    box: dict[str, frozenset[Option]] = {}
    for when in conditions:
        options = frozenset(when.options)
        box[when.decision] = box.get(when.decision, options) & options
    return box


def _union(cell: Cell, parts: Sequence[Box]) -> Box:
    """The smallest box around ``parts``."""
    common = set(parts[0]).intersection(*parts)
    around = {name: frozenset().union(*(part[name] for part in parts)) for name in common}
    return {n: o for n, o in around.items() if o != frozenset(cell.decision[n].options)}
