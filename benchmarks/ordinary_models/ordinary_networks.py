# SPDX-License-Identifier: Apache-2.0
"""A network by the name of its file: its integer graph, its quantized file and its inputs.

NAME.tflite     from tflite.zip (make_tflite.py), else from the folder of data
NAME.onnx       exported by torch (ordinary_torch.py), then quantized with real inputs
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from real_inputs import CALIBRATED, INPUTS

from tinytailor.compiler import load_model
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.quantize import quantize_model

ARCHIVE = Path(__file__).with_name("tflite.zip")


@dataclass(frozen=True)
class Opened:
    """``file``: the quantized model; ``operators``: of the file as users have it; ``real``: inputs
    that no range was taken from, in the order of the file."""

    graph: Graph
    file: Path
    operators: int
    real: np.ndarray


def opened(name: str, data: Path, folder: Path) -> Opened:
    """The network ``name``, with its quantized file in ``folder``."""
    path = folder / name
    real = INPUTS[name](data)
    if path.suffix == ".tflite":
        path.write_bytes(tflite_file(name, data))
        operators = tflite_operators(path.read_bytes())
    else:
        real = np.ascontiguousarray(np.moveaxis(real, -1, 1))
        operators = quantized(path, real[:CALIBRATED])
    return Opened(load_model(path), path, operators, real[CALIBRATED:])


def tflite_file(name: str, data: Path) -> bytes:
    with zipfile.ZipFile(ARCHIVE) as archive:
        if name in archive.namelist():
            return archive.read(name)
    return (data / name).read_bytes()


def tflite_operators(file: bytes) -> int:
    import tflite

    count: int = tflite.Model.GetRootAs(file, 0).Subgraphs(0).OperatorsLength()
    return count


def quantized(path: Path, samples: np.ndarray) -> int:
    """Write the QDQ file of a torch network to ``path``; how many operators the float file has."""
    import onnx
    import ordinary_torch

    file = ordinary_torch.exported(path.stem, samples)
    path.write_bytes(quantize_model(file, samples, path=path))
    nodes = onnx.load_model_from_string(file).graph.node
    return sum(node.op_type != "Constant" for node in nodes)
