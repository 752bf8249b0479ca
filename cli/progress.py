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
    """When it began, and how far it was then: what was done before takes no time."""

    began: float
    done: int
    ended: bool = False


@dataclass(slots=True)
class Lines:
    """Progress as lines: when a stage begins and ends, and in between once in a while."""

    write: Callable[[str], None] = note
    clock: Callable[[], float] = time.monotonic
    stages: dict[str, Stage] = field(default_factory=dict)
    last: float = 0.0

    def at(self, stage: str, done: int, total: int, text: str = "") -> None:
        now, more = self.clock(), f", {text}" if text else ""
        known = self.stages.setdefault(stage, Stage(now, done))
        if known.ended:
            return
        if done >= total:
            known.ended = True
            took = f" in {duration(now - known.began)}" if done > known.done else ""
            self._say(f"{stage}: done, {done} of {total}{took}{more}", now)
        elif known.began == now and done == known.done:
            before = f", {done} of them done before" if done else ""
            self._say(f"{stage}: begun, {total} steps{before}{more}", now)
        elif now - self.last >= LINE_SECONDS:
            left = ""
            if done > known.done:
                rate = (now - known.began) / (done - known.done)
                left = f", about {duration(rate * (total - done))} left"
            self._say(f"{stage}: {done} of {total}{more}{left}", now)

    def _say(self, line: str, now: float) -> None:
        self.write(line)
        self.last = now


def duration(seconds: float) -> str:
    """In words, as exact as one cares to know: 26 s, 4 min 10 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"
