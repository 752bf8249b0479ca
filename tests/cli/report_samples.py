# SPDX-License-Identifier: Apache-2.0
"""A report of a search and a manifest of a project, small enough to count by hand."""

from __future__ import annotations

from typing import Any

BOARD = "nucleo-f446re"
PROVENANCE = {
    "runner": "emulator",
    "instructions": "emulated, counted exactly",
    "stack": "worst case of the call graph, without interrupts",
    "latency": "modelled: core cycle model and board constants on the emulated run",
    "board_model": "fitted on 1436 measured operators",
    "board_trust": "fitted on measurements, mean error 1.9 % on them",
    "board_calibrated": True,
    "toolchain": "arm-none-eabi-gcc 12.2.1",
    "flags": "-mcpu=cortex-m4 -O2",
}


def layer(index: int, name: str, op: str, shape: list[int], macs: int, ms: float) -> dict[str, Any]:
    return {
        "index": index,
        "name": name,
        "op": op,
        "variant": "plain",
        "macs": macs,
        "cycles": round(180_000 * ms),
        "instructions": round(120_000 * ms),
        "latency_ms": ms,
        "flash_read_bytes": 10,
        "code": f"m_{index:02d}",
        "code_bytes": 100,
        "constant_bytes": macs // 100,
        "out_shape": shape,
    }


def manifest() -> dict[str, Any]:
    """Three layers at 0, 1 and 3 of a graph; b is written over a while layer 1 reads a."""
    arena = [
        {"name": "a", "offset": 0, "bytes": 800, "first": 0, "last": 1, "tensors": ["a"]},
        {"name": "b/scratch", "offset": 800, "bytes": 100, "first": 1, "last": 1, "tensors": []},
        {"name": "b", "offset": 200, "bytes": 400, "first": 1, "last": 3, "tensors": ["b", "c"]},
    ]
    layers = [
        layer(0, "a", "conv2d", [1, 10, 10, 8], 4000, 0.5),
        layer(1, "b", "depthwise_conv2d", [1, 10, 10, 4], 3600, 1.25),
        layer(3, "d", "dense", [1, 3], 1200, 0.25),
    ]
    return {
        "generator": "tinytailor",
        "version": "0.1.0",
        "kind": "mcu",
        "name": "tiny",
        "target": BOARD,
        "model_sha256": "ab" * 32,
        "inputs": [{"name": "x", "dtype": "int8", "scale": 0.05, "zero_point": -28}],
        "outputs": [{"name": "y", "dtype": "int8", "scale": 0.1, "zero_point": 0}],
        "arena": arena,
        "arena_bytes": 900,
        "arena_lower_bound_bytes": 900,
        "arena_optimal": True,
        "constant_bytes": 88,
        "float_layers": [],
        "stack_bytes": 124,
        "ram_bytes": 1536,
        "flash_bytes": 3000,
        "macs": 8800,
        "latency_ms": 2.125,
        "cycles": 382_500,
        "energy_uj": None,
        "energy": {"text": "unknown: no power of this board is published", "source": ""},
        "instructions": 255_000,
        "glue": {"cycles": 22_500, "instructions": 15_000},
        "layers": layers,
        "bit_exact": True,
        "provenance": PROVENANCE,
    }


def check(on: str, **changes: Any) -> dict[str, Any]:
    common = {"name": "tiny", "target": BOARD, "bit_exact": True, "differing_elements": 0}
    return {**common, "on": on, "samples": 20, "elements": 60, "accuracy": 0.85, **changes}


def scores() -> dict[str, Any]:
    """17 of 20 right; nothing was ever taken for the third class."""
    names = ["<b>&", "run", "stand"]
    per_class = [
        {"name": names[0], "count": 12, "precision": 12 / 14, "recall": 1.0, "f1": 12 / 13},
        {"name": names[1], "count": 6, "precision": 5 / 6, "recall": 5 / 6, "f1": 5 / 6},
        {"name": names[2], "count": 2, "precision": None, "recall": 0.0, "f1": 0.0},
    ]
    return {
        "names": names,
        "confusion": [[12, 0, 0], [1, 5, 0], [1, 1, 0]],
        "per_class": per_class,
        "accuracy": 0.85,
        "balanced_accuracy": (1 + 5 / 6) / 3,
        "macro_f1": (12 / 13 + 5 / 6) / 3,
        "samples": 20,
    }


def trial(index: int, accuracy: float, ms: float) -> dict[str, Any]:
    return {
        "index": index,
        "valid_accuracy": accuracy,
        "valid_loss": 1 - accuracy,
        "costs": [{"latency_ms": ms, "ram_bytes": 1536, "flash_bytes": 3000}],
    }


def target_record(**changes: Any) -> dict[str, Any]:
    """What was found for one target."""
    profile = manifest()
    return {
        "name": BOARD,
        "project": "run/<project>",
        "table": "a.jsonl",
        "budget": {"latency_ms": 2.5, "ram_bytes": 2048, "flash_bytes": None},
        "verification": [check("host"), check("emulator")],
        "predicted": {
            **{key: profile[key] for key in ("arena_bytes", "ram_bytes", "flash_bytes")},
            "latency_ms": 2.124,
            "estimated": None,
            "provenance": {"latency": "sum of operators measured alone"},
        },
        "profile": profile,
        **changes,
    }


def search_report(**changes: Any) -> dict[str, Any]:
    """``changes``: of the record of its one target."""
    return {
        "kind": "search",
        "schema": 2,
        "data": "npz:my <data>.npz",
        "targets": [target_record(**changes)],
        "space": "micronas",
        "algorithm": "dnas",
        "seed": 7,
        "accuracy": {"float": 0.9, "integer": 0.85},
        "scores": scores(),
        "float_scores": {**scores(), "accuracy": 0.9},
        "architecture": {"space": "micronas", "choices": {"a.width": 8, "b.branches": [3, 5]}},
        "trials": [trial(0, 0.75, 1.5), trial(1, 0.875, 2.124)],
        "history": {
            "chosen": 1,
            "valid_accuracy": [0.25, 0.5, 0.75],
            "expected": [
                {"latency_ms": [10.0, 5.0, 2.25], "ram_bytes": [9.0, 9.0, 9.0]},
            ],
            "float_loss": [2.0, 1.0],
            "quantized_loss": [0.5],
        },
        "preprocessing": {
            "mean": [1.0, -2.0],
            "std": [2.0, 0.5],
            "input_scale": 0.05,
            "input_zero_point": -28,
            "class_names": scores()["names"],
        },
        "settings": {"epochs": 2, "latency_ms": 2.5},
        "seconds": {"search": 3.25, "train": 1.0},
        "files": {"model": "run/model.onnx", "C project": "run/<project>"},
    }


def for_two_targets() -> dict[str, Any]:
    """The same network on a second board, where it is over the budget."""
    report = search_report()
    second = target_record(name="nucleo-l4r5zi", project="run/project-b", table="b.jsonl")
    second["profile"] |= {"target": "nucleo-l4r5zi", "latency_ms": 3.0}
    report["targets"].append(second)
    report["history"]["expected"] *= 2
    for one in report["trials"]:
        one["costs"] *= 2
    return report
