# SPDX-License-Identifier: Apache-2.0
"""Networks as people bring them, exported by torch and quantized by onnxruntime, beside
onnxruntime: the whole network, and each layer on the integers that onnxruntime had before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from comparison import Gap, onnx_gap, onnx_layers
from onnx_forms import Form, built, samples
from torch_networks import NETWORKS

from tinytailor.compiler import load_model
from tinytailor.compiler.execute import execute
from tinytailor.compiler.quantize import quantize_onnx
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.torch, pytest.mark.tvm]

# Each network takes the first, and two of the others in turn.
FORMS = (
    Form(),
    Form(activations="uint8"),
    Form(weights="tensor", symmetric=True, opset=15),
    Form("qoperator", activations="uint8", weights="tensor"),
    Form(prepared=False, opset=13, activations="uint8", weights="tensor"),
    Form("qoperator", prepared=False),
    Form(opset=21),
    Form("float"),
)
NAMES = list(NETWORKS)
CASES = [
    (name, FORMS[form])
    for place, name in enumerate(NAMES)
    for form in (0, 1 + place % 7, 1 + (place + 3) % 7)
]
RUNS = 6

# What no integer form can be given to, with the words the user reads.
REFUSED = {
    ("transposed_decoder", "qoperator"): "its weights are not quantized",
    ("shared_weights", "unprepared"): "its weights have a zero point",
}
# onnxruntime's quantizer cannot write these.
UNWRITTEN = {("shared_weights", "qoperator")}
# Means of an even count fall on exact halves: node by node, float32 errors decide how they round.
HALVES = {"poolings", "resnet", "dense_block"}
# onnxruntime leaves out roundings between poolings: here 10 of 24 elements, by 2 at most.
SKIPPED = {"poolings"}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zoo")


def expected_refusal(name: str, form: Form) -> str | None:
    kinds = ["all", form.kind, *([] if form.prepared else ["unprepared"])]
    return next((REFUSED[name, kind] for kind in kinds if (name, kind) in REFUSED), None)


@pytest.mark.parametrize(("name", "form"), CASES, ids=lambda value: str(value).replace(" ", "-"))
def test_a_network_equals_onnxruntime(name: str, form: Form, folder: Path) -> None:
    if (name, form.kind) in UNWRITTEN:
        pytest.skip("onnxruntime's quantizer fails on it")
    path = built(name, form, folder)
    calibration = samples(name) if form.kind == "float" else None
    reason = expected_refusal(name, form)
    if reason is not None:
        with pytest.raises(InputError, match=reason):
            load_model(path, calibration)
        return
    graph = load_model(path, calibration)
    if calibration is not None:
        quantized = quantize_onnx(path.read_bytes(), calibration, path=path)
        path = path.with_suffix(".quantized.onnx")
        path.write_bytes(quantized)
    real = samples(name, RUNS, seed=9)
    fused, plain = (onnx_gap(path, graph, real, fused) for fused in (True, False))
    print(f"{name}, {form}: {plain} (integer kernels: {fused})")
    if (
        form.kind != "qoperator"
    ):  # there most integers are made by other operators than QuantizeLinear
        layers = onnx_layers(path, graph, real, fused=False)
        assert max(gap.largest for _, gap in layers) <= 1, layers
    assert fused.largest <= (3 if name in SKIPPED else 1)
    assert plain.largest <= (4 if name in HALVES else 1)
    assert varied(graph, real)


def varied(graph, real) -> bool:
    """Whether the outputs depend on the inputs: else the comparison would say little."""
    from comparison import quantized_inputs

    outputs = execute(graph, *quantized_inputs(graph, real))
    return any(len(np.unique(array)) > 4 for array in outputs)


def test_most_layers_of_the_zoo_equal_onnxruntime_in_every_element(folder: Path) -> None:
    """Only means that fall on exact halves, and sums in float32, may be one step off."""
    found: list[tuple[str, Gap]] = []
    for name in ("mcunet", "shuffle_net", "unet", "temporal_conv", "mobilenet_v3"):
        path = built(name, FORMS[0], folder)
        found += onnx_layers(path, load_model(path), samples(name, RUNS, seed=9), fused=False)
    assert len(found) > 50
    assert sum(gap.differing for _, gap in found) <= 1e-4 * sum(gap.elements for _, gap in found)


def test_the_exporter_of_torch_2_writes_what_the_compiler_reads(folder: Path) -> None:
    """torch.export names and shapes things otherwise than the older exporter."""
    for name, form in (
        ("tc_resnet", Form(dynamo=True, opset=18)),
        ("shuffle_net", Form("qoperator", dynamo=True, opset=18, prepared=False)),
    ):
        path = built(name, form, folder)
        gap = onnx_gap(path, load_model(path), samples(name, RUNS, seed=9), fused=True)
        print(f"{name}, {form}: {gap}")
        assert gap.largest <= 1
