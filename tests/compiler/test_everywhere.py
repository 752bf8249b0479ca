# SPDX-License-Identifier: Apache-2.0
"""Whole models on one board of every core: the same integers, the same counts on both runners."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from networks import residual_network

from tinytailor.compiler import load_model
from tinytailor.compiler.everywhere import BOARDS, verify_everywhere
from tinytailor.compiler.mcu.backend import Microcontrollers
from tinytailor.targets import CORES, load_target

pytestmark = [pytest.mark.emulator, pytest.mark.qemu, pytest.mark.tvm]

# Twice what TFLM with CMSIS-NN executes on a Cortex-M55.
LIMIT_M55 = 3_620_000


@pytest.fixture(autouse=True)
def _qemu(request):
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not on PATH")


def test_there_is_a_board_of_every_core():
    assert {load_target(name).core.name for name in BOARDS} == set(CORES)


def test_the_keyword_model_is_bit_exact_on_every_core_and_both_runners_count_the_same(data_folder):
    graph = load_model(data_folder / "mlperf_tiny/models/kws_int8.tflite")
    x = np.load(data_folder / "mlperf_tiny/inputs/kws01.npz")["x"][:2]
    reports = verify_everywhere(graph, x.reshape(2, *graph.tensors[graph.inputs[0]].shape[1:]))
    assert [report.board for report in reports] == list(BOARDS)
    for report in reports:
        assert report.bit_exact, report
        assert report.counts_agree, report
        only_qemu = report.core == "cortex-m55"
        assert set(report.checks) == {"host", "qemu"} | (set() if only_qemu else {"emulator"})
        assert report.cycles is not None
        assert report.latency_ms is not None
    assert reports[-1].checks["qemu"].instructions <= LIMIT_M55


def test_a_board_that_is_too_small_is_reported_and_the_others_are_not_held_up(tmp_path):
    text = load_target("nucleo-f207zg").definition
    small = tmp_path / "small.toml"
    small.write_text(text.replace("131_072", "4_096").replace("nucleo-f207zg", "small"))
    reports = verify_everywhere(residual_network(), boards=(str(small), "nucleo-f446re"))
    assert "does not fit small" in reports[0].refused
    assert not reports[0].bit_exact
    assert reports[1].bit_exact
    assert reports[1].counts_agree


def test_wrong_outputs_on_one_runner_are_told(monkeypatch):
    honest = Microcontrollers.run

    def wrong(self, project, on, inputs):
        outputs = honest(self, project, on, inputs)
        return [output ^ np.int8(1) for output in outputs] if on == "qemu" else outputs

    monkeypatch.setattr(Microcontrollers, "run", wrong)
    (report,) = verify_everywhere(residual_network(), boards=("nucleo-f446re",))
    assert report.checks["emulator"].bit_exact
    assert report.checks["qemu"].differing_elements == report.checks["qemu"].elements
    assert not report.bit_exact
