# SPDX-License-Identifier: Apache-2.0
"""A model that moves, repeats and compares numbers, from ONNX to verified C on two cores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from qdq_models import Model

from tinytailor.compiler import load_model
from tinytailor.compiler.api import compile_model, verify
from tinytailor.targets import load_target

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]


def integers(model: Model, values: list[int]) -> str:
    return model.constant(f"c_{len(model.constants)}", np.array(values, np.int64))


def shuffled(model: Model, x: str) -> str:
    """The channels of two groups in turn, as ShuffleNet has them."""
    x = model.node("Reshape", [x, integers(model, [1, 2, 4, 6, 5])])
    x = model.node("Transpose", [x], perm=[0, 2, 1, 3, 4])
    x = model.node("Reshape", [x, integers(model, [1, 8, 6, 5])])
    return model.quantized(x, 0.06, -3)


def network(model: Model) -> str:
    x = model.input((1, 3, 6, 5))
    x = model.quantized(model.conv(x, (8, 3, 3, 3), pads=[1, 1, 1, 1]), 0.06, -3)
    model.node("Split", [x, integers(model, [3, 5])], "split", axis=1)
    model.nodes[-1].output[:] = ["left", "right"]
    left, right = (model.quantized(name, 0.06, -3) for name in ("left", "right"))
    right = model.quantized(model.node("Sigmoid", [right]), 1 / 256, -128)
    gate = model.node("ReduceMean", [right], axes=[1], keepdims=1)
    gate = model.quantized(gate, 0.0037, -128)
    gated = model.quantized(model.node("Mul", [left, gate]), 0.03, -3)
    x = model.quantized(model.node("Concat", [gated, right], axis=1), 0.06, -3)
    x = shuffled(model, x)
    x = model.quantized(model.node("DepthToSpace", [x], blocksize=2), 0.06, -3)
    slope = model.constant("slope", np.array([[[0.1]], [[-0.3]]], np.float32))
    x = model.quantized(model.node("PRelu", [x, slope]), 0.05, -60)
    rows = model.node("Slice", [x, *(integers(model, [v]) for v in (1, 11, 2, 3))])
    rows = model.quantized(rows, 0.05, -60)
    turned = model.node("Transpose", [rows], perm=[0, 1, 3, 2])
    model.scales[turned] = 0.05
    y = model.quantized(model.conv(turned, (5, 2, 1, 1)), 0.05, 3)
    return model.node("ArgMax", [y], axis=1, keepdims=0)


@pytest.mark.parametrize("board", ["nucleo-g0b1re", "nucleo-f446re"])
def test_every_core_computes_the_graph(board: str, tmp_path: Path) -> None:
    model = Model()
    path = model.save(tmp_path / "m.onnx", network(model), dtype=TensorProto.INT64)
    graph = load_model(path)
    kinds = {node.op.kind for node in graph.nodes}
    assert {"slice", "take", "transpose", "mul", "prelu", "arg_max", "lookup"} <= kinds
    compile_model(graph, load_target(board), tmp_path / "out", "net", model_sha256="0" * 64)
    assert "int32_t *output" in (tmp_path / "out" / "net.h").read_text()
    for on in ("host", "emulator"):
        result = verify(tmp_path / "out", on=on)
        assert result["bit_exact"], on
        assert result["outputs"][0].dtype == np.int32
        assert len(np.unique(result["outputs"][0])) > 2
