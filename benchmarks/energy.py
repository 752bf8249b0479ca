#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What one power a board is worth: published networks, each predicted from the other three.

usage: python benchmarks/energy.py [--write]

With --write docs/energy.md is written from the figures below, the board files, and the layers that
benchmarks/board_model.py counted. Nothing runs here.

    P   = E / t of each network                       mW, from published energies and latencies
    E\' = mean of the other three P * t, against E     the error of a network left out
    idle = (mean power - duty * P) / (1 - duty)       of a streaming run, with the median P
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from board_page import COUNTS, RESULTS, milliseconds  # noqa: E402  (beside this file)
from energy_text import HEAD, LEFT_OUT, OURS, TAIL  # noqa: E402

from tinytailor.targets import Board, EnergyModel, load_target, target_names  # noqa: E402
from tinytailor.targets.files import write_text  # noqa: E402

PAGE = HERE.parent / "docs" / "energy.md"
NETWORKS = ("kws", "vww", "ic", "ad")


@dataclass(frozen=True, slots=True)
class Published:
    """A board in a supply configuration: uJ and ms of the four networks, as in ``NETWORKS``.

    ``streaming``: mean mW and duty cycle of the wake-word benchmark. ``board`` and ``supply`` name
    the entry of a board file that is taken from it, if there is one.
    """

    what: str
    code: str
    edition: str
    energies: tuple[float, float, float, float]
    latencies: tuple[float, float, float, float]
    board: str = ""
    supply: str = ""
    streaming: tuple[float, float] | None = None

    @property
    def powers(self) -> tuple[float, ...]:
        return tuple(e / t for e, t in zip(self.energies, self.latencies, strict=True))

    @property
    def errors(self) -> tuple[float, ...]:
        """Percent that E\' is off for each network, its power taken from the other three."""
        total = sum(self.powers)
        return tuple(100 * ((total - p) / (len(NETWORKS) - 1) / p - 1) for p in self.powers)

    def idle(self) -> tuple[float, float, float] | None:
        """The idle power by the median, and the least and the most by any power of a network."""
        if self.streaming is None:
            return None
        power, duty = self.streaming
        found = [(power - duty * p) / (1 - duty) for p in (median(self.powers), *self.powers)]
        return found[0], min(found), max(found)


# Medians of the raw results, in the repository of each round.
PUBLISHED = (
    Published(
        "NUCLEO-L4R5ZI, 1.8 V, 120 MHz",
        "X-CUBE-AI 9.0",
        "v1.2",
        (1820.454, 3894.566, 6919.375, 203.368),
        (43.19, 88.93, 165.1, 5.26),
        "nucleo-l4r5zi",
        "ldo",
    ),
    Published(
        "NUCLEO-L4R5ZI-P, 3 V, external SMPS, 120 MHz",
        "X-CUBE-AI 10.2",
        "v1.3",
        (1430.668, 3029.752, 5495.915, 160.423),
        (43.4, 89.4, 165.7, 4.79),
        "nucleo-l4r5zi",
        "smps",
        (25.622, 0.56085),
    ),
    Published(
        "NUCLEO-U575ZI-Q, 1.8 V, SMPS, 160 MHz",
        "X-CUBE-AI 10.2",
        "v1.3",
        (664.424, 1372.168, 2565.244, 77.236),
        (28.99, 59.265, 109.5, 3.2095),
        "nucleo-u575zi-q",
        "smps",
        (11.4741, 0.36346),
    ),
    Published(
        "NUCLEO-U385RG-Q, 1.8 V, SMPS, 96 MHz",
        "X-CUBE-AI 10.2",
        "v1.3",
        (245.341, 518.976, 965.582, 31.835),
        (48.30, 98.74, 182.4, 5.41),
        "nucleo-u385rg-q",
        "smps",
        (3.9752, 0.60618),
    ),
    Published(
        "NUCLEO-H7A3ZI-Q, 3 V, SMPS, 280 MHz",
        "X-CUBE-AI 9.0",
        "v1.2",
        (1375.599, 2965.461, 5090.283, 165.728),
        (11.32, 23.80, 40.85, 1.2255),
        "nucleo-h7a3zi",
        "smps",
        (30.4526, 0.13259),  # v1.3
    ),
    Published(
        "RA6M4, Cortex-M33, 200 MHz",
        "TFLM with CMSIS-NN",
        "v0.7",
        (3797, 11852, 17724, 324),
        (50.6, 162.4, 246.2, 4.61),
    ),
    Published(
        "NUCLEO-L4R5ZI, 120 MHz",
        "microTVM with CMSIS-NN",
        "v1.0",
        (5230, 15531, 20236, 443),
        (99.81, 301.2, 389.6, 8.605),
    ),
)


def summary(errors: Sequence[float]) -> tuple[float, float, float]:
    """Mean, 90th percentile and worst of the sizes of errors."""
    sizes = sorted(map(abs, errors))
    return mean(sizes), sizes[round(0.9 * (len(sizes) - 1))], sizes[-1]


def page(counts: dict[str, Any]) -> str:
    boards = [target for target in map(load_target, target_names()) if isinstance(target, Board)]
    powered = [(board, power) for board in boards for power in board.energy]
    without = ", ".join(board.name for board in boards if not board.energy)
    errors = [error for p in PUBLISHED for error in p.errors]
    found, high, worst = summary(errors)
    parts = [HEAD, *(_power(*pair) for pair in powered)]
    figures = {"mean": found, "high": high, "worst": worst, "count": len(errors)}
    idle = "".join(map(_idle, PUBLISHED))
    parts.append(LEFT_OUT.format(without=without, idle=idle, **figures))
    parts += [_left_out(p) for p in PUBLISHED]
    parts += [OURS, *(_beside(*pair, counts) for pair in powered), TAIL]
    return "".join(parts)


def _power(board: Board, power: EnergyModel) -> str:
    default = ", the default" if power is board.energy[0] and len(board.energy) > 1 else ""
    idle = "unknown" if power.idle_mw is None else f"{power.idle_mw:g}"
    error = "unknown" if power.error_percent is None else f"{power.error_percent:g} %"
    name = f"`{power.name}`{default}"
    return f"| {board.name} | {name}: {power.supply} | {power.active_mw:g} | {idle} | {error} |\n"


def _idle(p: Published) -> str:
    found = p.idle()
    if found is None or p.streaming is None:
        return ""
    idle, low, high = found
    power, duty = p.streaming
    return f"| {p.what} | {power:.4g}, {duty:.3f} | {idle:.3g} | {low:.3g}, {high:.3g} |\n"


def _left_out(p: Published) -> str:
    cells = [f"{mw:.3g} ({e:+.1f} %)" for mw, e in zip(p.powers, p.errors, strict=True)]
    source = f"[{p.edition}]({RESULTS}{p.edition})"
    return f"| {p.what} | {p.code}, {source} | {' | '.join(cells)} | {mean(p.powers):.3g} |\n"


def _beside(board: Board, power: EnergyModel, counts: dict[str, Any]) -> str:
    """Our energies, modelled, and the published ones of the same supply."""
    times = [milliseconds(model, board, board.latency_model, counts) for model in ("kws", "ic")]
    ours = ["-" if t is None else f"{power.energy_uj(t):.0f}" for t in times]
    where = f"{board.name}, {power.name}"
    rows = f"| {where} | tinytailor, **modelled** | {' | '.join(ours)} | {board.trust} |\n"
    for p in PUBLISHED:
        if (p.board, p.supply) == (board.name, power.name):
            source = f"[measured by its authors, {p.edition}]({RESULTS}{p.edition})"
            theirs = f"{p.energies[0]:.0f} | {p.energies[2]:.0f}"
            rows += f"| {where} | {p.code} | {theirs} | {source} |\n"
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the page")
    text = page(json.loads(COUNTS.read_text())["counts"])
    if parser.parse_args().write:
        write_text(PAGE, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
