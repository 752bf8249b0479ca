# SPDX-License-Identifier: Apache-2.0
"""The benchmark of measuring finds the functions whose time it shares out."""

from __future__ import annotations

import importlib

import pytest

from tinytailor.compiler.opkey import make_key
from tinytailor.compiler.ops import ORDINARY
from tinytailor.targets import load_target, require_board

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]


def test_every_phase_of_measuring_takes_some_time(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    speed = importlib.import_module("measuring_speed")
    board = require_board(load_target("nucleo-f446re"), "a test")
    key = make_key(ORDINARY, ((1, 4, 4, 8),), "dsp")
    lines = list(speed.by_phase((key,), board))
    for phase in speed.PHASES:
        (line,) = (line for line in lines if line.startswith(f"{phase} "))
        assert float(line.split()[-2]) > 0, line
