# SPDX-License-Identifier: Apache-2.0
"""compile says which weights of 4 bits take 8 on the device, and the manifest keeps it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).parents[1] / "frontend"))

from qdq_models import Model

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

REASON = "its weights of 4 bits take 8: grouped_conv2d has no form with fewer"


@pytest.fixture
def model(tmp_path):
    """A convolution that keeps its 4 bits, and one in two groups, which cannot."""
    model = Model()
    x = model.input((1, 4, 4, 4))
    scale = model.constant("s", np.float32(0.1))
    for name, shape, groups in (("whole", (4, 4, 1, 1), 1), ("half", (4, 2, 1, 1), 2)):
        values = model.rng.integers(-8, 8, shape).ravel().tolist()
        model.constants.append(helper.make_tensor(name, TensorProto.INT4, shape, values))
        w = model.node("DequantizeLinear", [name, scale])
        x = model.quantized(model.node("Conv", [x, w], f"{name}_conv", group=groups), 0.1, 0)
    return model.save(tmp_path / "model.onnx", x, opset=21)


def test_a_note_names_the_layer_and_the_reason(cli, model, tmp_path):
    folder = tmp_path / "project"
    result = cli("compile", model, "--target", "nucleo-f446re", "-o", folder)
    assert result.exit_code == 0, result.stderr
    printed = " ".join(result.stdout.split())
    assert f"note: half_conv: {REASON}" in printed
    assert "whole_conv: its weights" not in printed
    stage = json.loads((folder / "manifest.json").read_text())["passes"][0]
    assert stage["name"] == "import"
    assert {"node": "half_conv", "changed": False, "text": REASON} in stage["notes"]
