# SPDX-License-Identifier: Apache-2.0
"""The targets of a report: of each, what a search predicted, what was emitted, what was allowed.

A project's manifest is the profile of its one target, without prediction and budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinytailor.compiler.sections import Quantity

SEARCH = "search"  # the kind of a search's report; other kinds are those of back ends


@dataclass(frozen=True, slots=True)
class Device:
    """``budget``: key of the profile -> the most that is allowed there, where there is a limit.

    ``verification``: what was compared with the integer model, a record a runner.
    """

    target: str
    profile: Mapping[str, Any]
    predicted: Mapping[str, Any] | None = None
    budget: Mapping[str, float] = field(default_factory=dict)
    verification: Sequence[Mapping[str, Any]] = ()

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What the back end compares networks by."""
        from tinytailor.compiler.backend import backend_for

        return backend_for(self.profile["kind"]).quantities(self.profile)

    @property
    def over(self) -> tuple[Quantity, ...]:
        """Quantities in which the emitted project is over its budget."""
        return tuple(
            quantity
            for quantity in self.quantities
            if quantity.key in self.budget
            and self.profile[quantity.key] > self.budget[quantity.key]
        )


def devices(report: Mapping[str, Any]) -> tuple[Device, ...]:
    """Of a search they stand in ``targets``."""
    if report["kind"] != SEARCH:
        return (Device(report["target"], report),)
    return tuple(
        Device(
            record["name"],
            record["profile"],
            record["predicted"],
            {key: most for key, most in record["budget"].items() if most is not None},
            record["verification"],
        )
        for record in report["targets"]
    )
