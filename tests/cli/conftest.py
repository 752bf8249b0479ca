# SPDX-License-Identifier: Apache-2.0
"""A compiled project, and a way to call commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_model
from typer.testing import CliRunner, Result

from tinytailor.cli.main import app

Cli = Callable[..., Result]


@pytest.fixture(scope="session")
def cli() -> Cli:
    """``cli("compile", path, …)`` with its exit code, stdout and stderr."""
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    return tiny_model.write_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="session")
def project(cli, model, tmp_path_factory) -> Path:
    """The model compiled for a Cortex-M4 board; not to be changed."""
    folder = tmp_path_factory.mktemp("compiled") / "project"
    result = cli("compile", model, "--target", "nucleo-f446re", "-o", folder, "--name", "tiny")
    assert result.exit_code == 0, result.stderr
    return folder
