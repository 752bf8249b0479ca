# SPDX-License-Identifier: Apache-2.0
"""A network of the zoo as the ONNX files people have: exported by torch, quantized by onnxruntime.

torch --export--> float.onnx --quant_pre_process--> folded --quantize_static--> QDQ, QOperator
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
import torch_networks
from onnxruntime import quantization
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType

CALIBRATION = 12


@dataclass(frozen=True)
class Form:
    """How a file was made. ``weights``: "channel" or "tensor" has a scale of its own."""

    kind: str = "qdq"
    weights: str = "channel"
    activations: str = "int8"
    symmetric: bool = False
    prepared: bool = True
    opset: int = 17
    dynamo: bool = False

    def __str__(self) -> str:
        parts = [self.kind, self.weights, self.activations, f"opset{self.opset}"]
        parts += ["symmetric"] if self.symmetric else []
        parts += [] if self.prepared else ["unprepared"]
        return " ".join([*parts, *(["dynamo"] if self.dynamo else [])])


class Samples(CalibrationDataReader):
    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        count = len(next(iter(arrays.values())))
        self.rows = iter([{n: a[i : i + 1] for n, a in arrays.items()} for i in range(count)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.rows, None)


def samples(name: str, count: int = CALIBRATION, seed: int = 5) -> dict[str, np.ndarray]:
    """Random inputs by name: smooth, so that they look like signals, plus noise."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for index, shape in enumerate(torch_networks.NETWORKS[name].inputs):
        noise = rng.normal(0, 1, (count, *shape[1:]))
        arrays[f"x{index}"] = noise.astype(np.float32)
    return arrays


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """The exporters print and warn."""
    level = logging.root.level
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        logging.root.setLevel(level)


def exported(name: str, path: Path, opset: int = 17, dynamo: bool = False) -> Path:
    """The float model as torch exports it."""
    module = torch_networks.network(name)
    inputs = tuple(torch.zeros(shape) for shape in torch_networks.NETWORKS[name].inputs)
    names = [f"x{index}" for index in range(len(inputs))]
    with silent(), torch.no_grad():
        torch.onnx.export(
            module,
            inputs,
            str(path),
            input_names=names,
            opset_version=opset,
            dynamo=dynamo,
            **({"external_data": False} if dynamo else {}),
        )
    return path


def quantized(name: str, source: Path, path: Path, form: Form) -> Path:
    """``source`` quantized by onnxruntime."""
    with silent():
        if form.prepared:
            prepared = path.with_suffix(".prepared.onnx")
            quantization.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            source = prepared
        kinds = {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}
        quantization.quantize_static(
            str(source),
            str(path),
            Samples(samples(name)),
            quant_format=QuantFormat.QDQ if form.kind == "qdq" else QuantFormat.QOperator,
            per_channel=form.weights == "channel",
            activation_type=kinds[form.activations],
            weight_type=QuantType.QInt8,
            extra_options={"ActivationSymmetric": form.symmetric},
        )
    return path


def built(name: str, form: Form, folder: Path) -> Path:
    """The file of one network in one form; the exported one is kept beside it."""
    source = folder / f"{name}_{form.opset}{'_dynamo' * form.dynamo}.onnx"
    if not source.exists():
        exported(name, source, form.opset, form.dynamo)
    if form.kind == "float":
        return source
    path = folder / f"{name}.{str(form).replace(' ', '_')}.onnx"
    return quantized(name, source, path, form)


def operators(path: Path) -> list[str]:
    return sorted({node.op_type for node in onnx.load(str(path)).graph.node})
