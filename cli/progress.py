# SPDX-License-Identifier: Apache-2.0
"""How far a long command is, on stderr: bars on a terminal, else lines.

trial 1/3: search: begun, 80 steps
trial 1/3: search: 31 of 80, 0.512, about 16 s left      at most every ten seconds
trial 1/3: search: done, 80 of 80 in 26 s, 0.731
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from tinytailor.cli.output import console_of, note

LINE_SECONDS = 10.0
At = Callable[[str, int, int, str], None]


@contextlib.contextmanager
def stages() -> Iterator[At]:
    """The value is called as ``at(stage, done, total, text)``; each stage has its bar or lines."""
    console = console_of(sys.stderr)
    if not has_bars(console):
        yield Lines().at
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def at(stage: str, done: int, total: int, text: str = "") -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, text=text)
            bars.update(tasks[stage], completed=done, total=total, text=text)

        yield at


@contextlib.contextmanager
def steps(total: int, quiet: bool) -> Iterator[Callable[[str], None]]:
    """The value is called with the name of each step as it begins: one bar, or a line a step.

    ``quiet``: nothing is shown.
    """
    console = console_of(sys.stderr)
    if quiet:
        yield lambda _: None
        return
    if not has_bars(console):
        yield note
        return
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task, begun = bars.add_task("", total=total, text=""), 0

        def begin(text: str) -> None:
            nonlocal begun
            bars.update(task, completed=begun, total=max(total, begun + 1), text=text)
            begun += 1

        yield begin


def has_bars(console: Console) -> bool:
    """Whether it is a terminal whose lines can be drawn again."""
    return console.is_terminal and not console.is_dumb_terminal


@dataclass(slots=True)
class Stage:
    """When a stage began, and when it was first heard of, with how much of it done by then."""

    began: float
    heard: float
    done: int
    ended: bool = False


@dataclass(slots=True)
class Lines:
    """Progress as lines: when a stage begins and ends, and in between once in a while."""

    write: Callable[[str], None] = note
    clock: Callable[[], float] = time.monotonic
    stages: dict[str, Stage] = field(default_factory=dict)
    heard: float | None = None  # when anything was
    said: float = 0.0

    def at(self, stage: str, done: int, total: int, text: str = "") -> None:
        now, new = self.clock(), stage not in self.stages
        began = now if self.heard is None else self.heard  # as the one before it ended
        known = self.stages.setdefault(stage, Stage(began, now, done))
        self.heard = now
        if known.ended:
            return
        known.ended = done >= total
        if known.ended:
            line = f"done, {done} of {total} in {duration(now - known.began)}"
        elif new and done == 0:
            line = f"begun, {total} step{'s' if total > 1 else ''}"
        else:
            line = f"{done} of {total}"
        if new or known.ended or now - self.said >= LINE_SECONDS:
            self.said = now
            more = f", {text}" if text else ""
            self.write(f"{stage}: {line}{more}{self._left(known, done, total, now)}")

    def _left(self, known: Stage, done: int, total: int, now: float) -> str:
        """The time that is left, at the pace since the stage was first heard of."""
        if known.ended or done <= known.done:
            return ""
        pace = (now - known.heard) / (done - known.done)
        return f", about {duration(pace * (total - done))} left"


def duration(seconds: float) -> str:
    """In words, as exact as one cares to know: 26 s, 4 min 10 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"
