#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reference models on the emulated boards: sizes, instructions, modelled time, and exactness.

usage: python benchmarks/mcu_models.py [--write] [--data FOLDER] [--models A,B] [--boards A,B]

Prints one row per model and board. With --write the deterministic columns become the baseline that
the tests hold (benchmarks/mcu_baseline.json), so that a regression, or a gain, shows in review, and
docs/benchmarks.md is written from it. Rows of models or boards that were not asked for are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "zoo")]

from mcu_page import PAGE, page  # noqa: E402  (beside this file)

from tinytailor.compiler import compile_model, execute, load_model, references  # noqa: E402
from tinytailor.compiler.ir import Graph  # noqa: E402
from tinytailor.targets import cross_toolchain, load_target  # noqa: E402
from tinytailor.targets.errors import BudgetError  # noqa: E402
from tinytailor.targets.files import write_text  # noqa: E402

BASELINE = HERE / "mcu_baseline.json"
BOARDS = (
    "nucleo-l4r5zi",
    "nucleo-l552ze-q",
    "nucleo-g0b1re",
    "nucleo-f207zg",
    "nucleo-h743zi",
    "mps3-an547",
)
COLUMNS = (
    "arena_bytes",
    "stack_bytes",
    "ram_bytes",
    "flash_bytes",
    "constant_bytes",
    "instructions",
    "cycles",
)
LAYER_SAMPLES = 20
CALIBRATED = 100  # inputs that a float model is quantized with


def words(data: Path) -> np.ndarray:
    """MFCCs of 1000 recorded words, real numbers (N, 49, 10, 1)."""
    stored = np.load(data / "mlperf_tiny/inputs/kws01.npz")
    return ((stored["x"].astype(np.float32) - 83) * np.float32(0.5847029089927673))[..., None]


def photos(data: Path) -> np.ndarray:
    """100 photos, 0 to 255, (N, 32, 32, 3)."""
    return np.load(data / "cifar10/cifar10_train100_lossless.npz")["x"].astype(np.float32)


def normal_photos(data: Path) -> np.ndarray:
    """The photos less the mean of ImageNet by its deviation, (N, 3, 32, 32)."""
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    deviation = np.array([0.229, 0.224, 0.225], np.float32)
    return np.ascontiguousarray(((photos(data) / 255 - mean) / deviation).transpose(0, 3, 1, 2))


def spectrograms(data: Path) -> np.ndarray:
    """Log spectrograms (150, 49 * 40) of recorded words, scaled to what micro_kws reads."""
    sound = np.load(data / "speech/speech_commands_300.npz")["x"][::2] / 32768.0
    frames = np.lib.stride_tricks.sliding_window_view(sound, 640, axis=1)[:, ::320][:, :49]
    power = np.abs(np.fft.rfft(frames * np.hanning(640), axis=-1)) ** 2
    logs = np.log10(np.add.reduceat(power[..., 2:202], np.arange(0, 200, 5), axis=-1) + 1e-7)
    scaled = (logs - logs.mean()) / logs.std() * 2
    return scaled.reshape(len(sound), -1).astype(np.float32)


@dataclass(frozen=True)
class Model:
    """A file, the real inputs it is compared on, and whether it is quantized with them first."""

    file: str
    inputs: Callable[[Path], np.ndarray]
    samples: int = 100
    is_float: bool = False


MODELS = {
    "kws": Model("models/kws_int8.tflite", words, 1000),
    "ic": Model("models/ic_resnet8_int8.tflite", photos),
    "micro_kws_m": Model("models/micro_kws_m_int8.tflite", spectrograms),
    "micro_kws_m_static_qdq": Model("onnx/micro_kws_m_static_qdq.onnx", spectrograms),
    "micro_kws_m_static_qoperator": Model("onnx/micro_kws_m_static_qoperator.onnx", spectrograms),
    "micro_kws_m_static_fp32": Model("onnx/micro_kws_m_static_fp32.onnx", spectrograms, 100, True),
    "alibaba_kws": Model("onnx/alibaba_kws.onnx", words, 100, True),
    "alibaba_ic": Model("onnx/alibaba_ic.onnx", normal_photos, 100, True),
}


def data_folder() -> Path:
    default = HERE.parent.parent / "shared" / "data"
    return Path(os.environ.get("TINYTAILOR_DATA", default))


def shaped(real: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inputs in another arrangement of axes of length 1."""
    return real if real.shape[1:] == shape[1:] else real.reshape(len(real), *shape[1:])


@cache
def opened(model: str, data: Path) -> tuple[Graph, Path]:
    """The integer graph, and the quantized model file it is of."""
    entry = MODELS[model]
    path = data / "mlperf_tiny" / entry.file
    if not entry.is_float:
        return load_model(path), path
    from tinytailor.compiler.quantize import quantize_model

    folder = Path(tempfile.mkdtemp(prefix="tinytailor-benchmark-"))
    quantized = folder / f"{model}.onnx"
    quantized.write_bytes(
        quantize_model(path.read_bytes(), entry.inputs(data)[:CALIBRATED], path=path)
    )
    return load_model(quantized), quantized


def measure(model: str, board: str, data: Path) -> dict[str, Any]:
    """Compile one reference model; the deterministic numbers of its manifest and the time."""
    graph, _ = opened(model, data)
    with tempfile.TemporaryDirectory() as folder:
        manifest = compile_model(
            graph, load_target(board), Path(folder) / model, model, model_sha256=""
        )
    return {column: manifest[column] for column in (*COLUMNS, "latency_ms")}


def differences(model: str, data: Path) -> dict[str, Any]:
    """The graph beside LiteRT or onnxruntime on real inputs; the emitted C computes the graph."""
    entry = MODELS[model]
    graph, path = opened(model, data)
    real = entry.inputs(data)[: entry.samples]
    source, result = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    runner = _litert if path.suffix == ".tflite" else _onnxruntime
    expected = runner(path, real, result.scale, result.zero_point)
    if real.ndim == 4 and real.shape[1:] != source.shape[1:] and path.suffix == ".onnx":
        real = real.transpose(0, 2, 3, 1)
    steps = np.rint(shaped(real, source.shape) / np.float32(source.scale)) + source.zero_point
    (actual,) = execute(graph, np.clip(steps, -128, 127).astype(np.int8))
    gap = np.abs(actual.reshape(len(real), -1).astype(int) - expected.reshape(len(real), -1))
    return {
        **_layers(graph, path, entry.inputs(data)[:LAYER_SAMPLES]),
        "against": "LiteRT" if runner is _litert else "onnxruntime",
        "samples": len(real),
        "elements": int(gap.size),
        "differing": int(np.count_nonzero(gap)),
        "largest": int(gap.max()),
        "calibrated": entry.is_float,
    }


def _layers(graph: Graph, path: Path, real: np.ndarray) -> dict[str, Any]:
    """Layer by layer on what onnxruntime computed before it, so that steps do not add up."""
    if path.suffix != ".onnx":
        return {}
    import onnx
    from comparison import onnx_layers

    source = onnx.load(str(path)).graph.input[0].name
    gaps = [gap for _, gap in onnx_layers(path, graph, {source: real}, fused=False)]
    if not gaps:  # not a file of QDQ form: it has no tensors to compare with
        return {}
    total = {
        "elements": sum(gap.elements for gap in gaps),
        "differing": sum(gap.differing for gap in gaps),
        "largest": max(gap.largest for gap in gaps),
    }
    return {"layers": total}


def _litert(path: Path, real: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    session = references.litert(path)
    source, result = session.get_input_details()[0], session.get_output_details()[0]
    unit, zero = source["quantization"]
    rows = []
    for sample in real:
        steps = np.clip(np.rint(sample / np.float32(unit)) + zero, -128, 127).astype(np.int8)
        session.set_tensor(source["index"], steps.reshape(source["shape"]))
        session.invoke()
        rows.append(session.get_tensor(result["index"])[0].astype(int))
    return np.array(rows)


def _onnxruntime(path: Path, real: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    session = references.onnx_session(path)
    source = session.get_inputs()[0]
    batches = shaped(real, (1, *source.shape[1:]))
    rows = [session.run(None, {source.name: row[None]})[0] for row in batches]
    return np.rint(np.concatenate(rows) / np.float32(scale)).astype(int) + zero_point


def row_of(model: str, board: str, data: Path) -> dict[str, Any]:
    """One row of the baseline, printed with the time it took."""
    start = time.monotonic()
    try:
        row = measure(model, board, data)
    except BudgetError as error:
        print(f"{model:30} {board:16} {error}", flush=True)
        return {"missing": "too small"}
    cycles = "no cycle model" if row["cycles"] is None else f"{row['latency_ms']:.1f} ms"
    numbers = " ".join(f"{row[c]:>11,}" for c in COLUMNS if row[c] is not None)
    seconds = time.monotonic() - start
    print(f"{model:30} {board:16} {numbers} {cycles}, compiled in {seconds:.1f} s", flush=True)
    return {c: row[c] for c in COLUMNS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the baseline and the page")
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--boards", default=",".join(BOARDS))
    options = parser.parse_args()
    baseline = json.loads(BASELINE.read_text())
    baseline["toolchain"] = cross_toolchain().version
    baseline.setdefault("differences", {})
    for model in options.models.split(","):
        compared, rows = baseline["differences"], baseline["rows"]
        compared[model] = differences(model, options.data)
        print(f"{model}: {compared[model]}", flush=True)
        for board in options.boards.split(","):
            rows[f"{model} {board}"] = row_of(model, board, options.data)
        if options.write:
            keep(baseline)
    if options.write:
        write_text(PAGE, page(baseline))


def keep(baseline: dict[str, Any]) -> None:
    """Write the baseline, in the order of the tables."""
    rows, compared = baseline["rows"], baseline["differences"]
    order = [f"{model} {board}" for model in MODELS for board in BOARDS]
    baseline["rows"] = {key: rows[key] for key in order if key in rows}
    baseline["differences"] = {m: compared[m] for m in MODELS if m in compared}
    write_text(BASELINE, json.dumps(baseline, indent=1) + "\n")


if __name__ == "__main__":
    main()
