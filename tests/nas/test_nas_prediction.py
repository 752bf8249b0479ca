# SPDX-License-Identifier: Apache-2.0
"""What a search predicts of random networks is what their compiled projects cost when profiled."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest

from tinytailor.latency_tables import LatencyTable
from tinytailor.latency_tables.measuring.measure import measure
from tinytailor.nas.network.graphs import compiled_keys
from tinytailor.nas.spaces import build_space
from tinytailor.targets import cross_toolchain, load_target

# one process, so that each table is measured once
pytestmark = [
    pytest.mark.emulator,
    pytest.mark.torch,
    pytest.mark.tvm,
    pytest.mark.xdist_group("prediction"),
]

SPACES = {"micronas": (32, 3, 3), "image": (12, 12, 3, 4)}
SEED, COUNT = 4, 2


@pytest.fixture(scope="module")
def prediction(repository):
    """The module of the benchmark."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository / "benchmarks"))
        return importlib.import_module("prediction")


@pytest.fixture(scope="module", params=SPACES)
def rows(request, prediction, tmp_path_factory):
    """Predicted and profiled costs of random networks of a space."""
    board = load_target("nucleo-l4r5zi")
    space = build_space(request.param, *SPACES[request.param])
    rng = np.random.default_rng(SEED)
    topologies = [space.topology(space.sample(rng)) for _ in range(COUNT)]
    keys = {key for topology in topologies for key in compiled_keys(topology, "dsp")}
    path = tmp_path_factory.mktemp("prediction") / "table.jsonl"
    table = measure(sorted(keys), board, cross_toolchain(), path)
    assert isinstance(table, LatencyTable)
    return [row for _, row in prediction.rows(space, COUNT, SEED, table, board)]


def test_sizes_are_predicted_to_the_byte_before_there_are_weights(rows):
    for row in rows:
        assert (row.arena_difference, row.ram_difference, row.flash_difference) == (0, 0, 0)


def test_latency_is_predicted_within_a_ten_thousandth(rows):
    assert len(rows) == COUNT
    assert max(abs(row.error) for row in rows) < 0.0001


def test_summed_sizes_are_never_too_small_and_close(rows):
    for row in rows:
        assert 0 <= row.summed_ram_difference <= 24
        assert 0 <= row.summed_flash_difference <= 8 * row.layers


def test_the_page_is_the_one_of_the_figures(prediction):
    """Written by benchmarks/prediction.py --write."""
    results = json.loads(prediction.RESULTS.read_text())
    assert prediction.PAGE.read_text() == prediction.page(results)
    assert results.keys() == prediction.SPACES.keys()
    for space, result in results.items():
        found = result["summary"]
        assert found["networks"] == prediction.SPACES[space]
        assert found["median_error"] <= 0.01
        assert found["worst_error"] <= 0.03
        assert (
            found["arena_difference"] == found["ram_difference"] == found["flash_difference"] == 0
        )
