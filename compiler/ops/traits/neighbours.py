# SPDX-License-Identifier: Apache-2.0
"""What an operator says to those before and behind it: in whose memory it lies, whose clamp or
border it takes over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinytailor.compiler.ops.window import Padding
from tinytailor.compiler.requantization import Requant

if TYPE_CHECKING:
    from tinytailor.compiler.ops.base import Operator


@dataclass(frozen=True, slots=True)
class View:
    """Bytes that can stay where they are.

    ``output_at``: where in its input the output lies, in bytes. ``inputs_at``: where in the output
    the inputs lie, which fill it. None: they cannot lie there.
    """

    output_at: int | None = None
    inputs_at: tuple[int, ...] | None = None

    @property
    def whole(self) -> bool:
        """Whether input and output are the same bytes."""
        return self.output_at == 0 and self.inputs_at == (0,)


@dataclass(frozen=True, slots=True)
class Clamp:
    """The last step of an operator, y = clip(z + zero_point, low, high).

    ``zero_point`` is None where it is fixed.
    """

    low: int
    high: int
    zero_point: int | None = None

    def clipped(self, low: int, high: int, shift: int = 0) -> Clamp | None:
        """With clip(y + shift, low, high) behind it, as one step; None where it cannot be.

        clip(clip(z + v, l, h) + k, low, high) is clip(z + k + v, ...) with both limits moved by k.
        """
        if shift and self.zero_point is None:
            return None
        bottom, top = (min(max(end + shift, low), high) for end in (self.low, self.high))
        return Clamp(bottom, top, None if self.zero_point is None else self.zero_point + shift)

    @classmethod
    def of(cls, q: Requant) -> Clamp:
        return cls(q.low, q.high, q.zero_point)

    def on(self, q: Requant) -> Requant:
        """``q`` with this clamp."""
        assert self.zero_point is not None
        return replace(q, zero_point=self.zero_point, low=self.low, high=self.high)


@dataclass(frozen=True, slots=True)
class Surround:
    """``value`` written round a map; ``channels``: whether there are more of them, too."""

    padding: Padding
    value: int
    channels: bool = False


@dataclass(frozen=True, slots=True)
class Bordered:
    """``op`` reads ``value`` outside its map, and more of it than the operator it is made from."""

    op: Operator
    value: int
