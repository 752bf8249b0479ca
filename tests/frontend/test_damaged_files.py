# SPDX-License-Identifier: Apache-2.0
"""2,100 damaged model files, 300 of them in every run: each ends in one sentence, or in a graph
whose C computes it.

A worker process imports them, because one that crashes or hangs in native code takes its process
along. TINYTAILOR_DAMAGED_FILES=20000 tries so many.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from mutations import changed_onnx, changed_tflite, flipped
from sound_files import onnx_files, tflite_files
from tiers import nightly_but

from tinytailor.compiler import load_model

pytestmark = [pytest.mark.tvm, pytest.mark.slow]

COUNT = int(os.environ.get("TINYTAILOR_DAMAGED_FILES", "2100"))
BATCH = 100
SAMPLE = (0, 700, 1400)  # batches of every run
COMPILED = 4  # of each batch
WORKER = Path(__file__).parent / "fuzz_worker.py"


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    pytest.importorskip("ai_edge_litert.schema_py_generated")
    folder = tmp_path / "sound"
    folder.mkdir()
    onnx_files(folder)
    tflite_files(folder)
    return folder


@pytest.mark.parametrize("first", nightly_but(SAMPLE, range(0, COUNT, BATCH)))
def test_damaged_files_end_in_a_sentence_or_in_a_graph(sound: Path, first: int) -> None:
    count = min(BATCH, COUNT - first)
    arguments = [str(n) for n in (sound, first, count, COMPILED)]
    done = subprocess.run(
        [sys.executable, str(WORKER), *arguments], capture_output=True, text=True, timeout=1800
    )
    lines = done.stdout.splitlines()
    files = [line for line in lines if line.startswith("file ")]
    again = f"python {WORKER} {' '.join(arguments)}"
    assert done.returncode == 0, (
        f"the process ended with {done.returncode} at {files[-1]}; reproduce with {again}\n"
        f"{done.stderr[-2000:]}"
    )
    results = [(f, line) for f, line in pairwise(lines) if f in files]
    wrong = [pair for pair in results[:count] if not pair[1].startswith(("InputError ", "Graph"))]
    assert not wrong, f"reproduce with {again}"
    assert sum(line == "Graph" for line in lines) > count // 10
    assert sum(line.startswith("InputError ") for line in lines) > count // 3
    assert done.stderr == ""


def test_sound_files_are_imported(sound: Path) -> None:
    for path in sorted(sound.iterdir()):
        assert load_model(path).nodes, path.name


def test_damage_is_done_and_depends_on_the_seed_only(sound: Path) -> None:
    for path in sorted(sound.iterdir()):
        data = path.read_bytes()
        change = changed_onnx if path.suffix == ".onnx" else changed_tflite
        for damage in (flipped, change):
            files = [damage(data, np.random.default_rng(seed)) for seed in range(10)]
            assert files == [damage(data, np.random.default_rng(seed)) for seed in range(10)]
            assert sum(file != data for file in files) >= 7
