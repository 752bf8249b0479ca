# SPDX-License-Identifier: Apache-2.0
"""docs/board-model.md from counted layers and the board files: text only, nothing runs here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from measured_page import section

from tinytailor.targets import Board, LatencyModel, load_target, target_names
from tinytailor.targets.latency_model import CONSTANTS

HERE = Path(__file__).resolve().parent
COUNTS = HERE / "board_counts.json"
PAGE = HERE.parent / "docs" / "board-model.md"
RESULTS = "https://github.com/mlcommons/tiny_results_"

_HEAD = """\
# Board model

Written by `python benchmarks/board_model.py --write`; do not edit. Compiler: {toolchain}.

**We own none of these boards. No number of this project was ever measured on one.** A time is
modelled: the executed instructions, counted on the emulator or QEMU, at the cost of the core's
cycle model, with constants of the board ([how](latency-model.md)). This page says what those
constants are worth.

## Boards

kws and ic are the keyword spotting and image classification models of MLPerf Tiny, compiled by
tinytailor, counted on one board of each core, and timed with the constants of each board file. Two
times stand where what was measured on the board agrees with two sets of constants.

| board | core | MHz | constants | kws ms, modelled | ic ms, modelled | touched by us |
| --- | --- | ---: | --- | ---: | ---: | --- |
"""

_FITS = """
Fitted constants come from times that others published, of other code than ours:

| board | fitted on | constants that came out | error on the code it was fitted on |
| --- | --- | --- | --- |
"""

_SPREAD = """
The fits on whole networks and on all single operators are from a study made before this compiler;
no script here repeats them. What can be tested here stands further below.

## How much the constants matter for our code

The layers of our code with each fitted set of constants, in core cycles of a Cortex-M4 or M33, as
times at the clock of the row's board. The spread is what a wrong choice of constants would do; the
set of the row's own board is bold.

| model | board | {sets} | spread |
| --- | --- |{rules} ---: |
"""

_PUBLISHED = """
## Ours, modelled, beside others, measured

Times of the same two models on the real board, from the raw results of MLPerf Tiny (closed
division, median of the submission). They are times of other code: **from the difference to ours
follows neither an error of our model nor a speed-up on the board.** It would take one run of our
code there.

| board | code | kws ms | ic ms | |
| --- | --- | ---: | ---: | --- |
"""

_TAIL = """
## What has never been checked

- The time of any code that tinytailor emits, on any board: never. The constants were fitted on
  CMSIS-NN, and our code reads flash more often: {ours:.2f} bytes an instruction in kws on a
  Cortex-M4, where that of microTVM with CMSIS-NN read 0.26. So the terms of the flash weigh more.
- Boards with `uncalibrated` constants, in any way. Their times are the core's own cycles without
  wait states, which is too short, or use the constants of another board, as the board file says.
- What fetching code costs, but for one kernel on two boards (above). Most of our loops fit in
  1 KiB: the term is {kws:.1f} % of kws and {ic:.1f} % of ic on nucleo-f446re.
- Published times of TinyEngine on an STM32H743 are of networks that tinytailor was not compiled
  for, so nothing stands beside them.
- Caches, bus contention, DMA and interrupts beyond what the constants absorbed.

`tinytailor calibrate` fits the constants from a few measured operators of your own board
([calibrate](calibrate.md)).
"""

ALIKE = ("cortex-m4", "cortex-m33")  # cores whose constants can stand for each other's
# MLPerf Tiny: board, code, kws ms, ic ms, round
OTHERS: tuple[tuple[str, str, float, float, str], ...] = (
    ("nucleo-l4r5zi", "X-CUBE-AI 9.0", 43.2, 165.1, "v1.2"),
    ("nucleo-l4r5zi", "Plumerai", 47.8, 167.8, "v1.1"),
    ("nucleo-l4r5zi", "HALE", 60.2, 180.5, "v1.2"),
    ("nucleo-l4r5zi", "microTVM with CMSIS-NN", 99.81, 389.6, "v1.0"),
    ("nucleo-l4r5zi", "microTVM", 144.0, 389.3, "v1.0"),
    ("nrf5340dk", "microTVM with CMSIS-NN", 76.1, 316.2, "v1.0"),
    ("disco-f746ng", "Plumerai", 17.7, 62.9, "v1.1"),
    ("disco-f746ng", "HALE", 18.4, 61.6, "v1.1"),
    ("nucleo-h7a3zi", "X-CUBE-AI 9.0", 11.3, 40.8, "v1.2"),
    ("nucleo-h7a3zi", "Plumerai", 13.9, 50.9, "v1.1"),
    ("nucleo-h7a3zi", "HALE", 14.7, 45.8, "v1.2"),
    ("nucleo-g0b1re", "HALE", 475.0, 1522.0, "v1.2"),
    ("nucleo-u575zi-q", "X-CUBE-AI 10.2", 29.0, 109.5, "v1.3"),
    ("nucleo-u385rg-q", "X-CUBE-AI 10.2", 48.3, 182.4, "v1.3"),
)


def page(kept: dict[str, Any]) -> str:
    """The page of the counts and of the board files as they are."""
    counts: dict[str, Any] = kept["counts"]
    boards = [target for target in map(load_target, target_names()) if isinstance(target, Board)]
    fitted = [board for board in boards if board.latency_model and board.latency.calibrated]
    parts = [_HEAD.format(toolchain=kept["toolchain"])]
    parts += [_board(board, counts) for board in boards]
    parts += [_FITS, *map(_fit, fitted)]
    alike = [board for board in fitted if board.core.name in ALIKE]
    sets, rules = " | ".join(board.name for board in alike), " ---: |" * len(alike)
    parts.append(_SPREAD.format(sets=sets, rules=rules))
    parts += [_spread(model, board, alike, counts) for model in ("kws", "ic") for board in alike]
    parts += [section(kept["measured"]), _PUBLISHED]
    known = {board.name: board for board in boards}
    for name in dict.fromkeys(row[0] for row in OTHERS):
        parts.append(_compared(known[name], counts))
    fetching = {m: _fetching(m, known["nucleo-f446re"], counts) for m in ("kws", "ic")}
    tail = _TAIL.format(ours=_flash_reads(counts["kws cortex-m4"]), **fetching)
    return "".join([*parts, tail])


def milliseconds(
    model: str, board: Board, constants: LatencyModel | None, counts: dict[str, Any]
) -> float | None:
    """Modelled time of a counted model; None where nothing can be told."""
    entry = counts.get(f"{model} {board.core.name}")
    if constants is None or entry is None or entry["glue_core_cycles"] is None:
        return None
    cycles = constants.core * entry["glue_core_cycles"]
    cycles += sum(constants.cycles(*layer) for layer in entry["layers"])
    return float(cycles / board.clock_hz * 1e3)


def _fetching(model: str, board: Board, counts: dict[str, Any]) -> float:
    """Percent of a time that is fetching code again."""
    time = milliseconds(model, board, board.latency, counts) or 0.0
    without = milliseconds(model, board, replace(board.latency, fetch_byte=0.0), counts) or 0.0
    return 100 * (time - without) / time


def _flash_reads(entry: dict[str, Any]) -> float:
    """Bytes of data read from flash per instruction."""
    return float(sum(layer[2] for layer in entry["layers"]) / entry["instructions"])


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _times(model: str, board: Board, counts: dict[str, Any]) -> str:
    """The time of a model on a board, or from the lower to the higher one."""
    time = milliseconds(model, board, board.latency_model, counts)
    if time is None or board.latency.alternative is None:
        return _text(time)
    other = milliseconds(model, board, board.latency.alternative, counts) or time
    return f"{_text(min(time, other))} to {_text(max(time, other))}"


def _board(board: Board, counts: dict[str, Any]) -> str:
    constants = board.latency_model
    trust = "no cycle model" if constants is None else constants.trust
    times = [_times(model, board, counts) for model in ("kws", "ic")]
    mhz = f"{board.clock_hz / 1e6:g}"
    return f"| {board.name} | {board.core.name} | {mhz} | {trust} | {' | '.join(times)} | never |\n"


def _fit(board: Board) -> str:
    model = board.latency
    on, _, error = model.source.removeprefix("fitted on ").partition(": ")
    names = (*CONSTANTS, "fetch_byte")
    found = ", ".join(f"{n} {getattr(model, n):g}" for n in names if getattr(model, n))
    return f"| {board.name} | {on} | {found} | {error} |\n"


def _spread(model: str, board: Board, fitted: list[Board], counts: dict[str, Any]) -> str:
    times = [milliseconds(model, board, other.latency, counts) for other in fitted]
    known = [time for time in times if time is not None]
    cells = [
        f"**{_text(time)}**" if other is board else _text(time)
        for other, time in zip(fitted, times, strict=True)
    ]
    spread = f"{100 * (max(known) / min(known) - 1):.0f} %" if known else "-"
    return f"| {model} | {board.name} | {' | '.join(cells)} | {spread} |\n"


def _compared(board: Board, counts: dict[str, Any]) -> str:
    constants = board.latency_model
    times = [_times(model, board, counts) for model in ("kws", "ic")]
    trust = "no cycle model" if constants is None else constants.trust
    lines = [f"| {board.name} | tinytailor, **modelled** | {' | '.join(times)} | {trust} |\n"]
    for name, code, kws, ic, edition in OTHERS:
        if name == board.name:
            source = f"[measured by its authors, {edition}]({RESULTS}{edition})"
            lines.append(f"| {name} | {code} | {kws:g} | {ic:g} | {source} |\n")
    return "".join(lines)
