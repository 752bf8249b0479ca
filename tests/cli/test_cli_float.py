# SPDX-License-Identifier: Apache-2.0
"""--allow-float from the command line: a refusal that names it, a warning, the report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tiny_model import only_json

sys.path.insert(0, str(Path(__file__).parents[1] / "frontend"))

from float_layer_models import CASES
from qdq_models import Model

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]


@pytest.fixture(scope="module")
def normalized(tmp_path_factory):
    model = Model()
    y = CASES["LRN"].build(model)
    return model.save(tmp_path_factory.mktemp("float") / "norm.onnx", y)


@pytest.fixture(scope="module")
def project(cli, normalized, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compiled") / "project"
    words = ("compile", normalized, "--target", "nucleo-f446re", "-o", folder, "--allow-float")
    result = cli(*words)
    assert result.exit_code == 0, result.stderr
    assert "warning: in float: op (LRN)" in result.stdout
    return folder


def test_without_the_flag_the_refusal_names_it(cli, normalized, tmp_path):
    result = cli("compile", normalized, "--target", "nucleo-f446re", "-o", tmp_path / "p")
    assert result.exit_code == 2
    assert "LRN" in result.stderr
    assert "--allow-float compiles it in float" in result.stderr
    assert not (tmp_path / "p").exists()


def test_manifest_and_report_list_the_layers_in_float(cli, project):
    expected = [{"name": "op", "operators": ["LRN"]}]
    assert json.loads((project / "manifest.json").read_text())["float_layers"] == expected
    report = cli("report", project)
    assert report.exit_code == 0
    assert "Computed in float" in report.stdout
    assert "LRN" in report.stdout


def test_verify_is_bit_exact_in_float(cli, project):
    for on in ("host", "emulator"):
        found = only_json(cli("verify", project, "--on", on, "--json").stdout)
        assert found["bit_exact"] is True


def test_a_model_in_integers_has_no_layer_in_float(cli, model, tmp_path):
    words = ("compile", model, "--target", "nucleo-f446re", "-o", tmp_path / "p")
    result = cli(*words, "--allow-float", "--json")
    assert only_json(result.stdout)["float_layers"] == []
    assert "Computed in float" not in cli("report", tmp_path / "p").stdout
    plain = cli(*words[:-1], tmp_path / "q", "--json")
    texts = [(tmp_path / folder / "model.c").read_text() for folder in ("p", "q")]
    assert plain.exit_code == 0
    assert texts[0] == texts[1]
