# SPDX-License-Identifier: Apache-2.0
"""The section of docs/board-model.md on measurements, from what ``measured_latency`` compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Compared = dict[str, Any]

_HEAD = """
## Modelled against measured

Other code than ours, measured by others and counted on this project's emulator, with the constants
of the board files as they are (now) and as they were before code that is fetched again and the
flash of the M7 had terms. The error is modelled / measured - 1; `python
benchmarks/measured_latency.py` fits the two terms anew.

### Residual additions

Measured one by one by the authors of MicroNAS, with the kernels of CMSIS-NN of 2022. Their loop of
four elements is said to be 1.2 KiB of code: more than the cache for instructions of nucleo-f446re
(1 KiB), less than that of nucleo-l552ze-q (8 KiB). All of it is taken to be fetched again on the
first two boards. **The term is one number a board, fitted on these additions alone**, and there is
nothing else to test it on. The bytes are those of a stand-in for the kernel, written after Arm's
source and built here with GCC 12.2, which nearly fits in 1 KiB; and both boards where it was
modelled too fast have a Cortex-M4, so a rule that the model of that core lacks would look the same.

| board | additions | before: mean error | worst | now: mean error | worst |
| --- | ---: | ---: | ---: | ---: | ---: |
"""

_LAYERS = """
### Layers on a Cortex-M7

29 layers of a MobileNetV1 on an STM32H743 at 400 MHz, published by EEESlab (CMSIS-NN), with the
constants of nucleo-h743zi. The term of the flash counts for weights that its data cache of 16 KiB
does not hold; the error of the others is that of the core's model.

| layers | number | before: mean error | worst | now: mean error | worst | sum |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
"""

_NETWORKS = """
### Whole networks

The C that microTVM generated for MLPerf Tiny v1.0 with CMSIS-NN, compiled and counted for this
purpose (counts rounded to three digits), against the board times of that submission. The terms
that are new do not count here, so nothing changed. The last column has the flash term fitted on
the other three networks.

| board | network | before | now | fitted on the others |
| --- | --- | ---: | ---: | ---: |
"""

_TAIL = """
Mean and worst error: {errors}.

Networks that vendors measured with their own kernels have no counts to go with them. One of
TinyEngine's on an STM32H743 at 480 MHz (51 ms published) was modelled as 52.9 ms before; its reads
from flash were not kept, and the new term can only make it longer.
"""


def section(compared: Compared) -> str:
    """The whole section, as Markdown."""
    parts = [_HEAD, *map(_addition, compared["adds"])]
    parts += [_LAYERS, *(_layer(name, row) for name, row in compared["layers"].items())]
    parts += [_NETWORKS, *map(_network, compared["networks"])]
    return "".join([*parts, _TAIL.format(errors=_errors(compared["networks"]))])


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |\n"


def _percent(value: float, signed: bool = False) -> str:
    return f"{value:{'+' if signed else ''}.1f} %"


def _mean_and_worst(record: Compared) -> list[str]:
    return [
        text
        for when in ("before", "now")
        for text in (_percent(record[when][0]), _percent(record[when][1], signed=True))
    ]


def _addition(record: Compared) -> str:
    return _row([record["board"], record["count"], *_mean_and_worst(record)])


def _layer(name: str, record: Compared) -> str:
    return _row(
        [name, record["count"], *_mean_and_worst(record), _percent(record["now"][2], signed=True)]
    )


def _network(record: Compared) -> str:
    numbers = (record["before"][1], record["now"][1], record["left_out"])
    return _row([record["board"], record["network"], *(_percent(n, signed=True) for n in numbers)])


def _errors(networks: Sequence[Compared]) -> str:
    """Mean and worst absolute error of each board's networks."""
    found = []
    for board in dict.fromkeys(record["board"] for record in networks):
        own = [record for record in networks if record["board"] == board]
        now = [abs(record["now"][1]) for record in own]
        out = [abs(record["left_out"]) for record in own]
        found.append(
            f"{board} {_percent(sum(now) / len(now))} and {_percent(max(now))} "
            f"({_percent(sum(out) / len(out))} and {_percent(max(out))} fitted on the others)"
        )
    return "; ".join(found)
