# SPDX-License-Identifier: Apache-2.0
"""Random networks are exact everywhere. TINYTAILOR_RANDOM_NETWORKS=5000 tries so many of them."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from check_random_networks import SAMPLES, check_networks
from random_networks import NAMED, UNNAMED, random_network

from tinytailor.compiler.execute import execute_all
from tinytailor.compiler.ops import tabled
from tinytailor.compiler.testing.examples import random_inputs
from tinytailor.targets import default_runner, load_target

pytestmark = [pytest.mark.emulator, pytest.mark.qemu, pytest.mark.tvm]

COUNT = int(os.environ.get("TINYTAILOR_RANDOM_NETWORKS", "500"))
BATCH = 25
OTHER_BOARDS = ("nucleo-g0b1re", "nucleo-l552ze-q", "mps3-an547")  # Cortex-M0+, M33 and M55


@pytest.mark.parametrize("first", range(0, COUNT, BATCH))
def test_random_networks_are_exact_on_the_host_and_the_emulated_cortex_m4(first, tmp_path):
    seeds = range(first, min(first + BATCH, COUNT))
    check_networks(seeds, "nucleo-l4r5zi", tmp_path, host=True)


@pytest.mark.parametrize("board", OTHER_BOARDS)
def test_random_networks_are_exact_on_other_cores(board, tmp_path):
    if default_runner(load_target(board)) == "qemu" and shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    first = 1_000_000 + 1000 * OTHER_BOARDS.index(board)
    check_networks(range(first, first + BATCH), board, tmp_path, host=False)


def test_random_networks_hold_every_operator_and_every_kind_of_join():
    graphs = [random_network(seed) for seed in range(500)]
    kinds = {node.op.kind for graph in graphs for node in graph.nodes}
    assert kinds == set(tabled()) == NAMED | UNNAMED
    reads = [[t for node in graph.nodes for t in node.inputs] for graph in graphs]
    assert sum(len(names) > len(set(names)) for names in reads) > 100  # branches
    assert sum(len(graph.outputs) > 1 for graph in graphs) > 100
    assert sum(len(graph.inputs) > 1 for graph in graphs) > 20


def test_activations_of_random_networks_use_their_range():
    """Constants are such that values neither vanish nor saturate, or little would be tested."""
    used = []
    for seed in range(60):
        graph = random_network(seed)
        batches = [batch[2:] for batch in random_inputs(graph, SAMPLES, seed)]
        values = execute_all(graph, dict(zip(graph.inputs, batches, strict=True)))
        used += [
            len(np.unique(values[n.output])) for n in graph.nodes if values[n.output].size > 99
        ]
    assert np.median(used) > 40
