#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""torch_files.zip: each torch module alone in a model, exported to ONNX in four ways.

usage: python tests/frontend/make_torch_files.py

It needs torch and onnxscript from PyPI (made with 2.13 and 0.7.2).

    NAME-EXPORTER-BATCH.onnx   EXPORTER torchscript or dynamo, BATCH 1 or free

Each exporter writes the opset that is its default; what it has no form of is left out. Weights,
biases and statistics are random, so nothing is folded away.
"""

from __future__ import annotations

import io
import logging
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn
from torch.onnx import OnnxExporterError
from torch_modules import MODULES

ARCHIVE = Path(__file__).with_name("torch_files.zip")
DATE = (2026, 1, 1, 0, 0, 0)  # of every file, so that the same files are the same archive


def randomize(module: nn.Module) -> None:
    """Weights, and the statistics of batch norms."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(0, 0.4)
        for name, statistic in module.named_buffers():
            if name.endswith("running_mean"):
                statistic.normal_(0, 0.4)
            elif name.endswith("running_var"):
                statistic.uniform_(0.3, 1.5)


def exported(
    module: nn.Module, shapes: tuple[tuple[int, ...], ...], dynamo: bool, free: bool
) -> bytes:
    """The bytes of the model; a free batch is traced with 2, as 1 would count as fixed."""
    examples = tuple(torch.zeros(2 if free else 1, *shape) for shape in shapes)
    options: dict[str, Any] = {
        "input_names": ["x"] if len(shapes) == 1 else ["a", "b"],
        "output_names": ["y"],
        "dynamo": dynamo,
    }
    if free and dynamo:
        options["dynamic_shapes"] = tuple({0: torch.export.Dim("batch")} for _ in shapes)
    elif free:
        names = [*options["input_names"], "y"]
        options["dynamic_axes"] = {name: {0: "batch"} for name in names}
    if dynamo:
        model = torch.onnx.export(module, examples, None, verbose=False, **options).model_proto
    else:
        buffer = io.BytesIO()
        torch.onnx.export(module, examples, buffer, **options)
        model = onnx.load_model_from_string(buffer.getvalue())
    strip(model)
    return model.SerializeToString(deterministic=True)


def strip(model: Any) -> None:
    """Without what the exporter says of the source of each node: paths of the machine it ran on."""
    graphs = [model.graph, *model.functions]
    for part in [model, *graphs, *(node for graph in graphs for node in graph.node)]:
        del part.metadata_props[:]
        part.doc_string = ""
    for value in [*model.graph.input, *model.graph.value_info, *model.graph.output]:
        del value.metadata_props[:]


def models() -> Iterator[tuple[str, bytes]]:
    for name, (shapes, module) in MODULES.items():
        randomize(module.eval())
        for exporter in ("torchscript", "dynamo"):
            for batch in ("1", "free"):
                try:
                    data = exported(module, shapes, exporter == "dynamo", batch == "free")
                except OnnxExporterError:  # torch_files.py says which those are
                    continue
                yield f"{name}-{exporter}-{batch}.onnx", data


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with zipfile.ZipFile(ARCHIVE, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in models():
            archive.writestr(zipfile.ZipInfo(name, DATE), data, zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
