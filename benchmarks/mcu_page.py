# SPDX-License-Identifier: Apache-2.0
"""docs/benchmarks.md from mcu_baseline.json and ordinary_models/counts.json: text only, nothing is
measured here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinytailor.targets import load_target

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
ORDINARY = HERE / "ordinary_models" / "counts.json"

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

_ORDINARY = """
## Ordinary networks

Networks of the kinds that people bring (`python benchmarks/ordinary_models.py --write`).
NAME.tflite is int8, as TensorFlow's converter writes it of a Keras model; person_detect.tflite is
that of TFLite Micro. NAME.onnx is float, as torch exports it, and quantized here with {calibrated}
recorded inputs. Weights are random but those of person_detect; batch norms have the statistics of
recorded inputs. Operators are those of the file without constants, MACs those of the integer graph.
Flash and RAM are of the linked program for the smaller of two boards that has room; each ran on the
emulated core and equals its integer graph, bit for bit. Compiler:
{toolchain}.

| network | operators | MACs | board | flash | RAM |
| --- | ---: | ---: | --- | ---: | ---: |
{sizes}
On the host, the integer graph beside LiteRT (.tflite) or onnxruntime on the quantized file (.onnx),
on {inputs} recorded inputs that no range was taken from: elements, and how many of them are off by
one step, which is one integer, or by more. "Layers": each layer alone, on the integers that the
other runtime computed before it; the last column says how many elements differ in which.

{columns}| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |
{gaps}
No layer is more than one step off. What is one step off lies close to a half step, where the other
runtime's float32 or its multipliers of fewer bits decide. Random weights carry such a step on, so
that behind it many outputs of a deep network move. LiteRT rounds TRANSPOSE_CONV twice where the
batch is left free, as Keras leaves it (unet_transposed), and once where it is fixed
(unet_transposed_fixed, the same weights). In mobilenet_v3_small.tflite it is its ADD, which centres
the pixels in the first layer, and its HARD_SWISH. In unet_bilinear.onnx it is Resize: what it takes
of four pixels in sixteenths is often an exact half, which float32 rounds either way.
"""
_COLUMNS = (
    "network",
    "outputs: elements",
    "one step",
    "more",
    "largest",
    "layers",
    "elements",
    "one step",
    "largest",
    "where",
)

_PUBLISHED = """
## Others

Keyword spotting (kws) and image classification (ic) of MLPerf Tiny on a Cortex-M4 (NUCLEO-L4R5ZI,
120 MHz). Instructions and bytes of TFLM and microTVM are from a study made before this compiler, on
an emulated core with GCC 12.2: TFLM of August 2026 with CMSIS-NN 99f736a, and the C of the microTVM
submissions; their code includes about 8 KB of a test frame with printf. No script here repeats it.
Times are those of the submissions, measured on the board; ours
are modelled ({trust}),
so the two are no race.

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
    parts.append(_ordinary(json.loads(ORDINARY.read_text())))
    parts.append(_PUBLISHED.format(trust=load_target(OURS).trust) + _ours(rows))
    parts += [_other(*item) for item in OTHERS.items()]
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


def _ordinary(counts: dict[str, Any]) -> str:
    networks: dict[str, dict[str, Any]] = counts["networks"]
    (inputs,) = {row["inputs"] for row in networks.values()}
    return _ORDINARY.format(
        toolchain=counts["toolchain"],
        calibrated=counts["calibrated"],
        inputs=inputs,
        columns=f"| {' | '.join(_COLUMNS)} |\n",
        sizes="".join(_sizes(*item) for item in networks.items()),
        gaps="".join(_gaps(*item) for item in networks.items()),
    )


def _sizes(name: str, row: dict[str, Any]) -> str:
    operators, macs, flash, ram = (
        _number(row[key]) for key in ("operators", "macs", "flash_bytes", "ram_bytes")
    )
    return f"| {name} | {operators} | {macs} | {row['board']} | {flash} | {ram} |\n"


def _gaps(name: str, row: dict[str, Any]) -> str:
    outputs, layers = row["outputs"], row["layers"]
    cells = [
        _number(outputs["elements"]),
        *(_share(outputs[key], outputs["elements"]) for key in ("one", "more")),
        str(outputs["largest"]),
        str(row["compared"]),
        _number(layers["elements"]),
        _share(layers["one"], layers["elements"]),
        str(layers["largest"]),
        ", ".join(f"{kind} {count:,}" for kind, count in row["differing"].items()),
    ]
    return f"| {name} | {' | '.join(cells)} |\n"


def _share(count: int, elements: int) -> str:
    """In percent to two digits, 0 only for none."""
    return "0" if not count else f"{100 * count / elements:.2g} %"


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
