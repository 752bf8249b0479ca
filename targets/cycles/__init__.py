# SPDX-License-Identifier: Apache-2.0
"""Cycles of a core without wait states: one file a core, one line here.

    table models     m0plus m3 m4 m33    cycles by instruction, as manuals print them
    pipeline models  m7 m55              when each instruction can issue, in order

``model`` says what a model is given and what it cannot know. Flash wait states, caches and buses
are not here but in a board's latency constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tinytailor.targets.cycles import m0plus, m3, m4, m7, m33, m55
from tinytailor.targets.cycles.model import CycleModel
from tinytailor.targets.names import no_such

__all__ = ["MODELS", "CycleModel", "cycle_model"]

_MODELS: tuple[CycleModel, ...] = (
    m0plus.MODEL,
    m3.MODEL,
    m4.MODEL,
    m7.MODEL,
    m33.MODEL,
    m55.MODEL,
)
MODELS: Mapping[str, CycleModel] = MappingProxyType({model.name: model for model in _MODELS})


def cycle_model(name: str) -> CycleModel:
    """The model of a core by the name in its table; InputError where there is none."""
    model = MODELS.get(name)
    if model is None:
        raise no_such(f"no cycle model is called {name!r}", name, tuple(MODELS))
    return model
