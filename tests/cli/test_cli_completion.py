# SPDX-License-Identifier: Apache-2.0
"""What a shell is told at a Tab, and that nothing heavy is loaded for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinytailor.cli import completion
from tinytailor.latency_tables.measuring.pool import BACKENDS
from tinytailor.targets import target_names

pytestmark = [pytest.mark.pure]


def asked(script: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command run by bash, which it is the child of."""
    command = f'"{sys.executable}" -m tinytailor.cli {script}\ntrue'
    environment = {**os.environ, "HOME": str(home), **variables}
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=environment, timeout=60
    )


def completed(line: str, home: Path) -> list[str]:
    """What bash would offer for the last word of ``line``."""
    words = line.split(" ")
    variables = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    return asked("", home, _TINYTAILOR_COMPLETE="complete_bash", **variables).stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("tinytailor table ", ["show", "check", "diff"]),
        ("tinytailor compile x.onnx --target rpi", ["rpi-pico"]),
        ("tinytailor search --algorithm ", ["supernet", "dnas", "random"]),
    ],
)
def test_commands_targets_and_algorithms_are_completed(tmp_path, line, offered):
    assert completed(line, tmp_path) == offered


def test_the_names_that_are_completed_are_those_that_are_known():
    """tests/nas/test_nas_spaces.py compares them with the registries, as these import torch."""
    assert completion.targets("") == list(target_names())
    assert completion.spaces("m") == ["micronas"]
    assert completion.schemes("") == ["int8"]
    assert completion.data_sets("") == [
        *("ucr:", "uea:", "npz:", "folder:", "uci-har", "hapt", "mitbih", "fsdd"),
        *("speech-commands", "ts-small:", "cifar10"),
    ]
    assert completion.one_of(*BACKENDS)("d") == ["dask"]
    with pytest.raises(LookupError, match="no dict NAMES"):
        completion.keys_of("nas/data/__init__.py", "NAMES")


def test_completion_is_shown_and_installed_for_the_shell_it_is_called_from(tmp_path):
    shown = asked("--show-completion", tmp_path)
    assert shown.stdout.startswith("_tinytailor_completion()")
    assert not any(tmp_path.iterdir())
    assert "bash completion installed" in asked("--install-completion", tmp_path).stdout
    script = tmp_path / ".bash_completions" / "tinytailor.sh"
    assert script.read_text() == shown.stdout.strip()
    assert str(script) in (tmp_path / ".bashrc").read_text()


def test_completion_loads_neither_numpy_nor_what_searches_and_compiles():
    script = (
        "import sys\n"
        "from tinytailor.cli.main import app\n"
        "from tinytailor.cli import completion\n"
        "completion.spaces(''), completion.algorithms(''), completion.data_sets('')\n"
        "print(*{'numpy', 'torch', 'tvm', 'unicorn'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")
