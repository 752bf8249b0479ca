# SPDX-License-Identifier: Apache-2.0
"""How much of its budget a network uses, and why not more.

The binding limit is the one of which it uses most, on any device. A network that uses less than
ENOUGH of that was preferred to larger ones on data that neither had learned: what those scored is
the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinytailor.nas.cost import amounts, limits
from tinytailor.nas.front.evaluate import Estimate
from tinytailor.nas.front.ground import Task
from tinytailor.nas.spaces import Architecture

ENOUGH = 0.9
LIMITS = ("latency", "RAM", "flash")


@dataclass(frozen=True, slots=True)
class Use:
    """``share`` of the binding ``limit`` of ``device``."""

    share: float
    limit: str
    device: str

    def to_json(self, reason: str) -> dict[str, Any]:
        values = {"share": self.share, "limit": self.limit, "device": self.device}
        return {**values, "reason": reason}


def use_of(task: Task, arch: Architecture) -> Use:
    """Of the limits that there are; a share of 0 where there is none."""
    topology, most = task.space.topology(arch), Use(0.0, "", "")
    for one in task.constraints:
        pairs = zip(amounts(one.network(topology)), limits(one.budget), LIMITS, strict=True)
        for value, limit, name in pairs:
            if limit is not None and value / limit > most.share:
                most = Use(value / limit, name, one.device)
    return most


def reason(
    task: Task,
    chosen: tuple[Architecture, Estimate],
    trained: Sequence[tuple[Architecture, Estimate]],
) -> str:
    """Why the chosen network uses less than it could; "" if it uses enough. ``trained`` are all
    that were trained on their own, with their scores."""
    used = use_of(task, chosen[0])
    if used.share >= ENOUGH or not used.limit:
        return ""
    shares = [(estimate, use_of(task, arch).share) for arch, estimate in trained]
    larger = [one for one in shares if one[1] > used.share]
    own = f"{100 * chosen[1].score:.2f} %"
    if not larger:
        return f"no larger network within the budget scored as high under shared weights as {own}"
    best, share = max(larger, key=lambda one: one[0].rank)
    return (
        f"trained alike, the best network that uses more ({100 * share:.0f} %) scored "
        f"{100 * best.score:.2f} % on held-out data, this one {own}"
    )
