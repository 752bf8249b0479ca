# SPDX-License-Identifier: Apache-2.0
"""Networks of the shipped spaces: what is trained is what is exported, priced and compiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiers import nightly_but

from tinytailor.compiler import execute, key_of, load_model
from tinytailor.compiler.memory.aliasing import computing
from tinytailor.nas.layers import Layer
from tinytailor.nas.layers.mean_pool import MeanPool
from tinytailor.nas.network.onnx_file import export_onnx
from tinytailor.nas.network.topology import INPUT, Topology
from tinytailor.nas.quantization import QUANTIZERS
from tinytailor.nas.spaces import Architecture, Space, build_space
from tinytailor.nas.testing.networks import quantized_network, random_input
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.torch, pytest.mark.tvm]

CASES = [
    ("micronas", (30, 5, 3)),
    ("micronas", (40, 1, 2)),
    ("micronas", (2, 1, 2)),  # the least there is: maps of one pixel
    ("image", (10, 18, 3, 4)),
    ("image", (12, 16, 3, 4)),  # the last map's mean can be an exact half
]
MORE = [("micronas", (100, 6, 4)), ("micronas", (25, 12, 9))]


def networks(space: Space) -> list[Architecture]:
    """The largest one, which has a layer of every kind, and a random one."""
    return [space.largest(), space.sample(np.random.default_rng(0))]


@pytest.mark.parametrize("which", nightly_but(CASES, CASES + MORE), ids=str)
def test_the_imported_file_computes_the_integers_of_training_with_listed_operators(
    which: tuple[str, tuple[int, ...]], tmp_path: Path
) -> None:
    name, shape = which
    space = build_space(name, *shape)
    listed = set(space.keys("dsp"))
    for arch in networks(space):
        topology = space.topology(arch)
        x = random_input(topology, seed=0)
        integers = quantized_network(topology, QUANTIZERS["int8"], x).quantized()
        path = tmp_path / "model.onnx"
        export_onnx(integers, path, "tiny", {})
        graph, q = load_model(path), integers.quantize_input(x)
        (logits,) = execute(graph, q)
        np.testing.assert_array_equal(logits, integers.run(q))
        assert len(np.unique(logits)) > 3
        used = [key_of(node, graph, "dsp") for node in computing(graph)]
        assert used == list(topology.keys("dsp"))
        assert set(used) <= listed


def test_a_batch_of_any_size_gives_the_same_rows() -> None:
    topology = build_space("image", 12, 16, 3, 4).topology(
        build_space("image", 12, 16, 3, 4).largest()
    )
    x = random_input(topology, seed=1, samples=6)
    integers = quantized_network(topology, QUANTIZERS["int8"], x).quantized()
    q = integers.quantize_input(x)
    each = np.concatenate([integers.run(row[None]) for row in q])
    np.testing.assert_array_equal(integers.run(np.tile(q, (40, 1, 1, 1))), np.tile(each, (40, 1)))


def test_the_name_of_a_layer_holds_no_slash() -> None:
    layers = (Layer("a/b", (INPUT,), MeanPool()),)
    with pytest.raises(InputError, match="layer 'a/b': a name holds no /"):
        _ = Topology((1, 4, 4, 2), layers).steps
