# SPDX-License-Identifier: Apache-2.0
"""Who is told how a long piece of work gets on: the person at a terminal, a function, or nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import count

from tinytailor.cli.output import doubts_told, note
from tinytailor.cli.progress import At, stages, steps
from tinytailor.nas.progress import OnProgress, Progress


@dataclass(frozen=True, slots=True)
class Watch:
    """``note`` is told sentences. ``stages`` and ``steps`` are as in ``progress``. ``doubts`` is
    around all that may warn (Doubt)."""

    note: Callable[[str], None]
    stages: Callable[[], AbstractContextManager[At]]
    steps: Callable[[int], AbstractContextManager[Callable[[str], None]]]
    doubts: Callable[[], AbstractContextManager[None]]


TERMINAL = Watch(note, stages, lambda total: steps(total, quiet=False), doubts_told)


def told(on_progress: OnProgress) -> Watch:
    """All of it as calls of ``on_progress``; sentences have the stage "note" and no steps, and
    doubts stay warnings."""

    @contextmanager
    def each_stage() -> Iterator[At]:
        def at(stage: str, done: int, total: int, text: str = "") -> None:
            on_progress(Progress(stage, done, total, text))

        yield at

    @contextmanager
    def each_step(total: int) -> Iterator[Callable[[str], None]]:
        begun = count()
        yield lambda text: on_progress(Progress("compile", next(begun), total, text))

    return Watch(
        lambda text: on_progress(Progress("note", 0, 0, text)), each_stage, each_step, nullcontext
    )


SILENT = told(lambda _: None)
