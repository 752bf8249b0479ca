# SPDX-License-Identifier: Apache-2.0
"""A sample of the zoo as projects: emitted C on the host and emulated, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx_forms import Form, built, samples

from tinytailor.compiler import compile_model, load_model, verify
from tinytailor.targets import load_target

pytestmark = [pytest.mark.emulator, pytest.mark.torch, pytest.mark.tvm]

SAMPLE = {
    "shuffle_net": (Form(), "nucleo-l4r5zi"),
    "temporal_conv": (Form("qoperator", activations="uint8"), "nucleo-g0b1re"),
    "two_sensors": (Form("float"), "nucleo-l4r5zi"),
    "mixer": (Form(opset=21), "nucleo-l552ze-q"),
    "unet": (Form(weights="tensor", symmetric=True, opset=15), "nucleo-l4r5zi"),
}


@pytest.mark.parametrize("name", SAMPLE)
def test_a_network_of_the_zoo_runs_bit_exact(name: str, tmp_path: Path) -> None:
    form, board = SAMPLE[name]
    calibration = samples(name) if form.kind == "float" else None
    graph = load_model(built(name, form, tmp_path), calibration)
    project = tmp_path / "project"
    manifest = compile_model(graph, load_target(board), project, name, model_sha256="")
    assert verify(project, "host")["bit_exact"]
    report = verify(project, "emulator")
    assert report["bit_exact"]
    print(
        f"{name}, {form}, {board}: arena {manifest['arena_bytes']}, {report['elements']} elements"
    )


def test_a_tflite_network_of_the_zoo_runs_bit_exact(tmp_path: Path) -> None:
    """Every fused activation, both paddings, dilation, depth multiplier."""
    pytest.importorskip("ai_edge_litert")
    import tflite_networks

    graph = load_model(tflite_networks.built("activations", "per tensor", tmp_path))
    project = tmp_path / "project"
    compile_model(graph, load_target("nucleo-l4r5zi"), project, "net", model_sha256="")
    assert verify(project, "host")["bit_exact"]
    assert verify(project, "emulator")["bit_exact"]
