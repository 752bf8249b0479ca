# SPDX-License-Identifier: Apache-2.0
"""tinytailor inspect: what it prints, what --json holds, how it ends."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_model import CLASSES, INPUT_SCALE, INPUT_ZERO, SHAPE, only_json

sys.path.insert(0, str(Path(__file__).parents[1] / "frontend"))
sys.path.insert(0, str(Path(__file__).parents[1] / "quantize"))

from float_models import Floats
from qdq_models import Model

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

USAGE = 2
BOARD = "nucleo-g0b1re"  # its core runs plain C


@pytest.fixture(scope="module")
def float_model(tmp_path_factory):
    m = Floats()
    y = m.node("LRN", [m.conv(m.input("x", ("N", *SHAPE[1:])), (4, 2, 3, 3))], size=3)
    path = tmp_path_factory.mktemp("float") / "float.onnx"
    path.write_bytes(m.bytes(y))
    return path


@pytest.fixture(scope="module")
def refused_model(tmp_path_factory):
    m = Model()
    a = m.quantized(m.node("Tan", [m.input((1, 1, 8, 8))], "/tan"), 0.1)
    b = m.quantized(m.node("Conv", [a, a], "/dynamic"), 0.1)
    return m.save(tmp_path_factory.mktemp("refused") / "refused.onnx", b)


def paragraphs(text: str) -> dict[str, list[list[str]]]:
    """The words of each line of a table, by its title."""
    parts = [part.strip("\n").splitlines() for part in text.split("\n\n")]
    return {part[0]: [line.split() for line in part[1:]] for part in parts if part}


def test_an_accepted_model_is_shown_with_what_it_costs(cli, model):
    result = cli("inspect", model)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == f"{model}: ONNX (ir 8, ai.onnx 17)"
    assert lines[1] == "QDQ: activations int8, weights int8 with a scale for each channel"
    assert lines[2] == f"{model.stat().st_size} B, 76 parameters in 88 B, 3456 MAC"
    tables = paragraphs(result.stdout)
    source, result_row = tables["Inputs and outputs"][1:]
    assert source[:2] == ["input", "input"]
    assert source[-2:] == [f"{INPUT_SCALE:.6g}", str(INPUT_ZERO)]
    assert result_row[1:4] == ["logits", "(1,", f"{CLASSES})"]
    assert ["Conv", "1", "3456", "yes"] in tables["Operators"]
    assert lines[-3].startswith("the compiler takes it as it is: ")
    assert lines[-1] == f"next: tinytailor compile {model} --target TARGET -o DIR"


def test_the_integer_graph_is_what_compile_makes(cli, model, tmp_path):
    graph = only_json(cli("inspect", model, "--json").stdout)["graph"]
    words = ("compile", model, "--target", BOARD, "-o", tmp_path / "p", "--json")
    manifest = only_json(cli(*words).stdout)
    for key in ("macs", "constant_bytes", "arena_bytes"):
        assert graph[key] == manifest[key], key
    assert graph["operators"] == manifest["passes"][-1]["nodes"]
    assert graph["proven"] == manifest["arena_optimal"]


def test_layers_lists_every_operator_of_the_file_and_of_the_graph(cli, model):
    values = only_json(cli("inspect", model, "--json").stdout)
    tables = paragraphs(cli("inspect", model, "--layers").stdout)
    assert len(tables["Layers of the file"]) == 1 + len(values["layers"])
    assert ["conv", "Conv", "(1,", "4,", "8,", "6)", "3456", "yes"] in tables["Layers of the file"]
    assert len(tables["Layers of the integer graph"]) == 1 + values["graph"]["operators"]
    assert "Layers of the file" not in paragraphs(cli("inspect", model).stdout)


def test_all_that_is_refused_is_shown_and_the_file_is_read_all_the_same(cli, refused_model):
    result = cli("inspect", refused_model)
    assert result.exit_code == 0, result.stderr
    rows = paragraphs(result.stdout)["Without an integer form"]
    assert [row[0] for row in rows] == ["operator", "Tan", "Conv"]
    assert "its weight is computed by the model" in result.stdout
    assert "--allow-float compiles it in float" in result.stdout
    assert result.stdout.splitlines()[-1] == "the compiler refuses it"
    values = only_json(cli("inspect", refused_model, "--json").stdout)
    assert values["accepted"] is False
    assert values["graph"] is None
    assert [item["operator"] for item in values["refused"]] == ["Tan", "Conv"]


def test_a_float_model_is_tried_with_random_samples_and_says_so(cli, float_model):
    result = cli("inspect", float_model)
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.search(r"input +x +\(free, 2, 8, 6\) +float32", result.stdout)
    assert ["LRN", "1", "0", "no,", "but", "with", "--allow-float"] in paragraphs(result.stdout)[
        "Operators"
    ]
    *_, takes, _, following = result.stdout.splitlines()
    how = "with --calibration and --allow-float (tried with random samples)"
    assert takes.startswith(f"the compiler takes it {how}: ")
    options = "--calibration X.npz --allow-float"
    assert following.startswith(f"next: tinytailor compile {float_model} {options} --target")


def test_a_float_model_is_tried_with_samples(cli, float_model, tmp_path):
    x = np.random.default_rng(0).normal(size=(4, *SHAPE[1:])).astype(np.float32)
    x[2] *= 1000
    np.savez(tmp_path / "x.npz", x=x)
    result = cli("inspect", float_model, "--calibration", tmp_path / "x.npz")
    assert "(tried with the samples given)" in result.stdout
    assert "warning: calibration sample 2 reaches" in " ".join(result.stderr.split())


FIELDS = (
    "model bytes format quantization inputs outputs parameters weight_bytes macs macs_unknown "
    "operators layers tried accepted needs refused problems graph"
).split()


def test_json_holds_the_fields_that_the_documentation_names(cli, model, refused_model, repository):
    page = (repository / "docs" / "cli.md").read_text()
    section = page.split("## What is in a model file")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^|]+)` \|", section, re.MULTILINE)
    documented = [name for row in rows for name in re.findall(r"\w+", row)]
    for path in (model, refused_model):
        assert list(only_json(cli("inspect", path, "--json").stdout)) == FIELDS == documented


@pytest.mark.parametrize(
    ("page", "file"),
    [("cli.md", "models/kws_int8.tflite"), ("own-model.md", "onnx/alibaba_kws.onnx")],
)
def test_the_documentation_shows_what_is_printed(
    cli, page, file, repository, data_folder, monkeypatch
):
    path = data_folder / "mlperf_tiny" / file
    monkeypatch.chdir(path.parent)
    lines = [line.rstrip() for line in cli("inspect", path.name).stdout.splitlines()]
    shown = "".join(f"    {line}".rstrip() + "\n" for line in lines)
    text = (repository / "docs" / page).read_text()
    assert f"    $ tinytailor inspect {path.name}\n{shown}" in text


@pytest.mark.parametrize(
    ("name", "content", "fragment"),
    [
        ("none.onnx", None, "there is no such file"),
        ("model.pt", b"x", "unknown kind of model; expected .onnx or .tflite"),
        ("model.onnx", b"not a model", "cannot be read as an ONNX model"),
        ("model.tflite", b"not a model", "cannot be read as a TFLite model"),
        ("empty.tflite", b"", "the file is empty"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_sentence(cli, tmp_path, name, content, fragment):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    result = cli("inspect", path, "--json")
    assert result.exit_code == USAGE
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert fragment in line
    assert only_json(result.stdout) == {
        "error": line.removeprefix("error: "),
        "exit_code": USAGE,
    }


def test_samples_that_do_not_fit_are_a_mistake(cli, float_model, model, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 5), np.float32))
    result = cli("inspect", float_model, "--calibration", tmp_path / "x.npz")
    assert result.exit_code == USAGE
    assert "calibration: array x is float32 (3, 5)" in " ".join(result.stderr.split())
    result = cli("inspect", model, "--calibration", tmp_path / "x.npz")
    assert result.exit_code == USAGE
    assert "inspect it without --calibration" in " ".join(result.stderr.split())


def test_endings_in_capitals_are_read_as_in_small_letters(cli, model, tmp_path):
    (tmp_path / "TINY.ONNX").write_bytes(model.read_bytes())
    plain, capital = (cli("inspect", path, "--json") for path in (model, tmp_path / "TINY.ONNX"))
    assert only_json(capital.stdout)["layers"] == only_json(plain.stdout)["layers"]
