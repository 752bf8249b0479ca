# SPDX-License-Identifier: Apache-2.0
"""int8 TFLite networks as TensorFlow's converter writes them, beside LiteRT."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinytailor.compiler import load_model
from tinytailor.targets.errors import InputError

pytest.importorskip("ai_edge_litert")
from comparison import litert_gap, litert_layers
from tflite_networks import FORMS, NETWORKS, built

pytestmark = [pytest.mark.torch, pytest.mark.tvm]

# LiteRT computes HARD_SWISH and changes of scale with few bits; ours round once.
COARSE = {"squeeze_excite"}


@pytest.mark.parametrize("form", [form for form in FORMS if form != "uint8"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_equals_litert(name: str, form: str, tmp_path: Path) -> None:
    """LiteRT's default kernels round once, as ours; its reference kernels twice."""
    path = built(name, form, tmp_path)
    graph = load_model(path)
    gap, reference = litert_gap(path, graph), litert_gap(path, graph, reference=True)
    print(f"{name}, {form}: {gap} (reference kernels: {reference})")
    if name in COARSE:
        assert max(layer.largest for _, layer in litert_layers(path, graph)) <= 1
        assert gap.largest <= 2
    else:
        assert gap.differing == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_files_of_tensorflow_1_are_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    path = built(name, "uint8", tmp_path)
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert str(caught.value) == (
        f"{path.name} is quantized to uint8, with zero points for its weights, as TensorFlow 1 "
        "did; convert the model again with TensorFlow 2.3 or newer, which writes int8"
    )
