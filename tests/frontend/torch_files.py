# SPDX-License-Identifier: Apache-2.0
"""What torch_files.zip holds (make_torch_files.py), and which modules have no integer form yet."""

from __future__ import annotations

import zipfile
from pathlib import Path

ARCHIVE = zipfile.ZipFile(Path(__file__).with_name("torch_files.zip"))
NAMES = ARCHIVE.namelist()
EXPORTERS, BATCHES = ("torchscript", "dynamo"), ("1", "free")
NOT_EXPORTED = {  # the exporter has no form of the module
    ("AdaptiveAvgPool2d_no_divisor", "torchscript"),
    ("ChannelShuffle", "torchscript"),
    ("RMSNorm", "torchscript"),
    ("Upsample_nearest_exact", "torchscript"),
}
# Whatever the batch and the exporter: all operators that stand in the way.
ALWAYS = {
    "AvgPool2d_ceil_padded": "AveragePool",
    "Embedding": "Gather, Cast",
    "GRU": "GRU",
    "LSTM": "LSTM",
    "MultiheadAttention": "MatMul",
    "torch.einsum": "Einsum",
    "torch.matmul": "MatMul",
}
REFUSED: dict[str, dict[str, str]] = {
    "torchscript": ALWAYS
    | {
        "LocalResponseNorm": "Pad, AveragePool, Div",
        "RNN": "RNN",
    },
    "dynamo": ALWAYS
    | {
        "AdaptiveAvgPool2d_no_divisor": "Where",
        "LocalResponseNorm": "AveragePool, Div",
    },
}


def parts(name: str) -> tuple[str, str, str]:
    """Module, exporter and batch (1 or free) of a file."""
    module, exporter, batch = name.removesuffix(".onnx").rsplit("-", 2)
    return module, exporter, batch


def obstacle(name: str) -> str:
    """The operators for which a file is refused; empty if it is imported."""
    module, exporter, _ = parts(name)
    return REFUSED[exporter].get(module, "")


def stored(name: str) -> bytes:
    return ARCHIVE.read(name)
