# SPDX-License-Identifier: Apache-2.0
"""Networks of the kinds that users bring (benchmarks/ordinary_models): they compile, take no more
memory than was published, and every layer is within one step of the runtime of its file."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
from tiers import nightly_but

pytestmark = [pytest.mark.emulator, pytest.mark.torch, pytest.mark.tvm]

COUNTS = Path(__file__).parents[2] / "benchmarks/ordinary_models/counts.json"
PUBLISHED = json.loads(COUNTS.read_text())["networks"]
QUICK = ("person_detect.tflite", "ecg_resnet.tflite", "ecg.onnx")
MOVED = {"Reshape", "Flatten", "Squeeze", "Transpose", "input"}  # nothing is rounded there
FOLDERS = ("tests/conformance", "benchmarks/ordinary_models", "benchmarks")


@pytest.fixture
def ordinary(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("ai_edge_litert")
    for folder in FOLDERS:
        monkeypatch.syspath_prepend(str(repository / folder))
    return importlib.import_module("ordinary_models")


@pytest.mark.parametrize("name", nightly_but(QUICK, PUBLISHED))
def test_a_network_compiles_and_is_as_exact_as_published(
    name: str, ordinary: ModuleType, data_folder: Path, tmp_path: Path
) -> None:
    published = PUBLISHED[name]
    network = ordinary.opened(name, data_folder, tmp_path)
    assert network.operators == published["operators"]
    assert network.graph.macs == published["macs"]
    found = ordinary.exactness(network, ordinary.FEW)
    if name.endswith(".tflite"):  # LiteRT's integers are the same on every computer
        assert found == published["few"]
    assert found["layers"]["largest"] <= 1
    assert found["compared"] == published["compared"]
    assert found["skipped"] == published["skipped"]
    project = ordinary.compiled(network.graph, tmp_path)
    assert project["board"] == published["board"]
    assert project["arena_bytes"] <= published["arena_bytes"]


def test_the_page_holds_for_every_network(ordinary: ModuleType) -> None:
    """Its tables name each, and the counts are as its sentences say."""
    page = ordinary.PAGE.read_text()
    assert list(PUBLISHED) == list(ordinary.INPUTS)
    for name, row in PUBLISHED.items():
        assert page.count(f"| {name} |") == 2
        assert row["layers"]["largest"] <= 1
        assert set(row["skipped"]) <= MOVED
    fixed, free = (PUBLISHED[f"unet_transposed{end}.tflite"] for end in ("_fixed", ""))
    assert fixed["differing"] == {}
    assert list(free["differing"]) == ["ConvTranspose2d"]
