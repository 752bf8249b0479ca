#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What weights of 4 bits save and cost: one network with weights of 8 and of 4 bits, on two cores.

usage: python benchmarks/four_bit_weights.py [--data FOLDER]

The keyword network alibaba_kws.onnx is quantized to int8 with 100 words; its weights are then
rounded to INT4, each output channel with the scale of least square error, without training. Prints
the table of docs/own-model.md: answers of the integer graph on 1000 words, and the emitted code.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tinytailor.compiler import compile_model, execute, load_model
from tinytailor.compiler.quantize import quantize_onnx
from tinytailor.targets import load_target

HERE = Path(__file__).resolve().parent
MODEL = "mlperf_tiny/onnx/alibaba_kws.onnx"
WORDS = "mlperf_tiny/inputs/kws01.npz"
BOARDS = ("nucleo-l4r5zi", "nucleo-g0b1re")
CALIBRATED = 100
OPSET = 21  # the first with INT4
SHARES = np.linspace(0.5, 1.0, 26)  # of the scale that holds the largest weight


def four_bits(data: bytes) -> bytes:
    """A QDQ model with INT4 in the place of its int8 weights."""
    model = onnx.version_converter.convert_version(onnx.load_model_from_string(data), OPSET)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in tensors:
            continue
        names = list(node.input)
        integers = numpy_helper.to_array(tensors[names[0]])
        if integers.dtype != np.int8 or integers.ndim < 2:
            continue
        axis = next((item.i for item in node.attribute if item.name == "axis"), 1)
        scale = numpy_helper.to_array(tensors[names[1]])
        along = [-1 if place == axis else 1 for place in range(integers.ndim)]
        real = integers * scale.reshape(along if scale.size > 1 else ())
        coarse, steps = rounded(real, axis)
        zero = helper.make_tensor(names[2], TensorProto.INT4, [len(coarse)], [0] * len(coarse))
        packed = helper.make_tensor(names[0], TensorProto.INT4, real.shape, steps.ravel().tolist())
        tensors[names[0]].CopyFrom(packed)
        tensors[names[1]].CopyFrom(numpy_helper.from_array(coarse, names[1]))
        tensors[names[2]].CopyFrom(zero)
    result: bytes = model.SerializeToString()
    return result


def rounded(real: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """(scales along ``axis``, integers of 4 bits)."""
    rows = np.moveaxis(real, axis, 0).reshape(real.shape[axis], -1)
    widest = np.maximum(np.abs(rows).max(axis=1), 1e-12) / 7
    candidates = widest[:, None] * SHARES
    steps = np.clip(np.rint(rows[:, None] / candidates[..., None]), -8, 7)
    errors = np.square(steps * candidates[..., None] - rows[:, None]).sum(axis=2)
    best = errors.argmin(axis=1)
    scales = candidates[np.arange(len(rows)), best].astype(np.float32)
    shape = [real.shape[axis], *np.delete(real.shape, axis)]
    chosen = steps[np.arange(len(rows)), best].reshape(shape)
    return scales, np.moveaxis(chosen, 0, axis).astype(np.int64)


def correct(graph: Any, x: np.ndarray, y: np.ndarray) -> int:
    tensor = graph.tensors[graph.inputs[0]]
    steps = np.rint(x / np.float32(tensor.scale)) + tensor.zero_point
    batch = np.clip(steps, -128, 127).astype(np.int8).reshape(-1, *tensor.shape[1:])
    (result,) = execute(graph, batch)
    return int((result.reshape(len(x), -1).argmax(axis=1) == y).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("TINYTAILOR_DATA", HERE.parent.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    folder = parser.parse_args().data
    stored = np.load(folder / WORDS)
    x = ((stored["x"].astype(np.float32) - 83) * np.float32(0.5847029089927673))[..., None]
    eight = quantize_onnx((folder / MODEL).read_bytes(), x[:CALIBRATED], path=Path(MODEL))
    print("| weights | correct | weights in flash |", end="")
    print("".join(f" flash, {b} | instructions | time |" for b in BOARDS))
    print("| --- " * (3 + 3 * len(BOARDS)) + "|")
    with tempfile.TemporaryDirectory() as name:
        for label, data in (("8 bits", eight), ("4 bits", four_bits(eight))):
            path = Path(name) / "kws.onnx"
            path.write_bytes(data)
            graph = load_model(path)
            for note in graph.notes.items():
                print(*note, file=sys.stderr)
            size = sum(n.constants["weight"].nbytes for n in graph.nodes if "weight" in n.constants)
            cells = [label, str(correct(graph, x, stored["y"])), f"{size:,} B"]
            for board in BOARDS:
                folder = Path(name) / f"{label[0]}-{board}"
                m = compile_model(graph, load_target(board), folder, "kws", model_sha256="")
                time = "" if m["latency_ms"] is None else f"{m['latency_ms']:.1f} ms"
                cells += [f"{m['flash_bytes']:,} B", f"{m['instructions'] / 1e6:.2f} M", time]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
