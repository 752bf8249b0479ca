# SPDX-License-Identifier: Apache-2.0
"""Other runtimes answer alike on processors that this computer is not."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.pure]

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "benchmarks" / "processors.py"


def test_the_tests_that_are_run_there_exist() -> None:
    spec = importlib.util.spec_from_file_location("processors", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    named = {name.split("::")[0] for name in (*script.SAMPLE, *script.ALL)}
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.nightly
@pytest.mark.parametrize("processor", ["Haswell", "SandyBridge"])
def test_comparisons_pass_and_no_integer_differs_without_vnni(processor: str, data_folder) -> None:
    command = [sys.executable, str(SCRIPT), "--processors", processor]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    found = re.search(
        rf"{processor}: ([\d,]+) equal, ([\d,]+) close, ([\d,]+) other", result.stdout
    )
    assert found is not None, result.stdout
    print(found[0])
    equal, close, other = (int(number.replace(",", "")) for number in found.groups())
    assert equal + close > 2000
    assert other == 0
