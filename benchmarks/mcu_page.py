# SPDX-License-Identifier: Apache-2.0
"""docs/benchmarks.md from benchmarks/mcu_baseline.json: text only, nothing is measured here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinytailor.targets import load_target

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"

_HEAD = """\
# Benchmarks

Written by `python benchmarks/mcu_models.py --write`; do not edit. Compiler: {toolchain}.

Every network was compiled, run on the emulated core and found equal, bit for bit, to its integer
graph. Instructions are counted on the emulator or QEMU and repeat exactly. Cycles are modelled: the
core's cycle model and the board's constants applied to the counted run ([latency
model](latency-model.md)). RAM is arena, input, output, other static data and the worst-case stack
of the call graph, interrupts not included. Flash is the whole linked program; "code" is flash less
the constants.
"""

_EXACT = """
## Differences

Elements of the output that differ from LiteRT or onnxruntime on real inputs, where ours differ at
all; a step is one integer. Single roundings inside a network can add up, so the largest difference
at the output may be more than one step; "layers" compares each layer alone, on what onnxruntime
computed before it (20 inputs, files of QDQ form). Float models (*) are quantized with 100 inputs
first, and compared with onnxruntime on the quantized file.

| model | against | inputs | elements | differ | largest | layers: elements | differ | largest |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""

_PUBLISHED = """
## Others

Keyword spotting (kws) and image classification (ic) of MLPerf Tiny on a Cortex-M4 (NUCLEO-L4R5ZI,
120 MHz). Instructions and bytes of TFLM and microTVM are from a study made before this compiler, on
an emulated core with GCC 12.2: TFLM of August 2026 with CMSIS-NN 99f736a, and the C of the microTVM
submissions; their code includes about 8 KB of a test frame with printf. No script here repeats it.
Times are those of the submissions, measured on the board; ours
are modelled, so the two are no race.

| | kws arena | kws code | kws instructions | kws ms | ic arena | ic instructions | ic ms | source |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |
"""

_RESULTS = "https://github.com/mlcommons/tiny_results_"
# kws arena, code and instructions, ms; ic arena, instructions, ms; source
OTHERS: dict[str, tuple[int | float | str | None, ...]] = {
    "TFLM + CMSIS-NN": (22_820, 134_272, 7_697_868, None, 54_996, 29_864_119, None, "counted"),
    "microTVM + CMSIS-NN": (
        *(17_232, 32_264, 8_481_919, 99.8, 66_112, None, 389.6),
        f"counted; times [v1.0]({_RESULTS}v1.0)",
    ),
    "microTVM": (
        *(146_416, 88_208, 10_050_000, 144.0, 247_392, 33_820_000, 389.3),
        f"counted; times [v1.0]({_RESULTS}v1.0)",
    ),
    "X-CUBE-AI 9.0": (
        *(None, None, None, 43.2, None, None, 165.1),
        f"[v1.2]({_RESULTS}v1.2)",
    ),
    "Plumerai": (
        *(None, None, None, 47.8, None, None, 167.8),
        f"[v1.1]({_RESULTS}v1.1)",
    ),
}
OURS = "nucleo-l4r5zi"


def page(baseline: dict[str, Any]) -> str:
    """The page of a baseline."""
    rows: dict[str, dict[str, Any]] = baseline["rows"]
    models = list(dict.fromkeys(key.split(" ")[0] for key in rows))
    boards = list(dict.fromkeys(key.split(" ")[1] for key in rows))
    parts = [_HEAD.format(toolchain=baseline["toolchain"])]
    for model in models:
        parts.append(_model(model, [(b, rows.get(f"{model} {b}")) for b in boards]))
    parts.append(_EXACT + "".join(_gap(*item) for item in baseline["differences"].items()))
    parts.append(_PUBLISHED + _ours(rows) + "".join(_other(*item) for item in OTHERS.items()))
    return "".join(parts)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"


def _model(model: str, rows: list[tuple[str, dict[str, Any] | None]]) -> str:
    lines = [
        f"\n## {model}\n\n",
        "| board | core | arena | stack | RAM | flash | code | instructions | cycles |\n",
        f"| --- | --- |{' ---: |' * 7}\n",
    ]
    for name, row in rows:
        core = load_target(name).core.name
        if row is None or "missing" in row:
            reason = "not measured" if row is None else row["missing"]
            lines.append(f"| {name} | {core} | {reason} |{'  |' * 6}\n")
            continue
        numbers = [
            row["arena_bytes"],
            row["stack_bytes"],
            row["ram_bytes"],
            row["flash_bytes"],
            row["flash_bytes"] - row["constant_bytes"],
            row["instructions"],
            row["cycles"],
        ]
        lines.append(f"| {name} | {core} | {' | '.join(map(_number, numbers))} |\n")
    return "".join(lines)


def _gap(model: str, gap: dict[str, Any]) -> str:
    layers = gap.get("layers", {})
    numbers = [gap[key] for key in ("samples", "elements", "differing", "largest")]
    numbers += [layers.get(key) for key in ("elements", "differing", "largest")]
    star = " *" if gap.get("calibrated") else ""
    return f"| {model}{star} | {gap['against']} | {' | '.join(map(_number, numbers))} |\n"


def _ours(rows: dict[str, dict[str, Any]]) -> str:
    kws, ic = rows[f"kws {OURS}"], rows[f"ic {OURS}"]
    clock = load_target(OURS).clock_hz
    cells = [
        _number(kws["arena_bytes"]),
        _number(kws["flash_bytes"] - kws["constant_bytes"]),
        _number(kws["instructions"]),
        f"{kws['cycles'] / clock * 1e3:.1f} (modelled)",
        _number(ic["arena_bytes"]),
        _number(ic["instructions"]),
        f"{ic['cycles'] / clock * 1e3:.1f} (modelled)",
    ]
    return f"| tinytailor | {' | '.join(cells)} | this page |\n"


def _other(name: str, cells: tuple[Any, ...]) -> str:
    *numbers, source = cells
    return f"| {name} | {' | '.join(map(_number, numbers))} | {source} |\n"
