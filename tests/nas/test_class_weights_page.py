# SPDX-License-Identifier: Apache-2.0
"""docs/own-data.md shows what benchmarks/class_weights.py found."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.pure]


def test_the_table_of_the_page_is_that_of_the_results(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    benchmark = importlib.import_module("class_weights")
    results = json.loads(benchmark.RESULTS.read_text())["results"]
    page = (repository / "docs" / "own-data.md").read_text()
    seeds = {key.rsplit("/", 1)[1] for key in results}
    assert len(results) == len(seeds) * len(benchmark.SETS) * len(benchmark.KINDS)
    assert benchmark.table(results) in page
    assert f"class_weights.py --seeds {len(seeds)}`" in page
