# SPDX-License-Identifier: Apache-2.0
"""compile, verify, profile and report on a real project, as a user and as a program see them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from tiny_model import only_json

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

MANIFEST_KEYS = {
    "name", "target", "model_sha256", "inputs", "outputs", "arena_bytes", "ram_bytes",
    "flash_bytes", "macs", "latency_ms", "cycles", "instructions", "layers", "provenance",
    "bit_exact",
}  # fmt: skip
LAYER_KEYS = {
    "name", "op", "macs", "cycles", "instructions", "latency_ms", "flash_read_bytes", "out_shape",
}  # fmt: skip


def test_targets_lists_every_shipped_target_with_its_kind(cli):
    targets = {t["name"]: t["kind"] for t in only_json(cli("targets", "--json").stdout)["targets"]}
    assert targets["nucleo-f446re"] == "mcu"
    assert "fpga" in targets.values()
    shown = cli("targets").stdout
    assert all(name in shown for name in targets)
    assert "uncalibrated" in shown


def test_ops_lists_what_the_compiler_registers_with_a_meaning(cli):
    from tinytailor.compiler.ops import tabled

    listed = only_json(cli("ops", "--json").stdout)["operators"]
    on_engine = only_json(cli("ops", "--target", "ultra96-v2", "--json").stdout)["operators"]
    assert {row["name"]: bool(row["limits"]) for row in on_engine} == {
        "conv2d": True,
        "square_deform_dw": True,
    }
    on_board = only_json(cli("ops", "--target", "nucleo-g0b1re", "--json").stdout)["operators"]
    assert on_board == listed
    assert cli("ops", "--target", "nowhere").exit_code == 2
    assert {row["name"] for row in listed} == set(tabled())
    assert all(len(row["meaning"]) > 20 for row in listed)


def test_a_manifest_holds_what_the_contract_names(project):
    manifest = json.loads((project / "manifest.json").read_text())
    assert manifest.keys() >= MANIFEST_KEYS
    assert all(layer.keys() >= LAYER_KEYS for layer in manifest["layers"])


def test_compile_prints_the_manifest_as_its_only_output(cli, model, tmp_path):
    words = ("compile", model, "--target", "nucleo-f446re", "-o", tmp_path / "p", "--json")
    result = cli(*words)
    assert result.exit_code == 0
    assert only_json(result.stdout) == json.loads((tmp_path / "p" / "manifest.json").read_text())
    assert result.stderr == "", "steps are for people"
    again = cli(*words)
    assert again.exit_code == 0, "an earlier project is replaced"
    assert only_json(again.stdout) == only_json(result.stdout)


def test_compile_names_its_steps_to_people(cli, model, tmp_path):
    result = cli("compile", model, "--target", "nucleo-f446re", "-o", tmp_path / "p")
    assert result.exit_code == 0
    for step in ("reading", "optimizing", "lowering", "writing C", "building and running"):
        assert step in result.stderr
        assert step not in result.stdout


@pytest.mark.parametrize("on", ["host", "emulator"])
def test_verify_counts_bit_exact_outputs(cli, project, on):
    found = only_json(cli("verify", project, "--on", on, "--json").stdout)
    assert found["bit_exact"] is True
    assert found["differing_elements"] == 0
    assert found["on"] == on


def test_verify_finds_a_changed_constant(cli, project, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(project, folder)
    source = folder / "tiny.c"
    head, bias, rest = source.read_text().partition("_bias[4] = {\n    ")
    assert bias
    source.write_text(head + bias + "999999" + rest[rest.index(",") :])
    result = cli("verify", folder, "--json")
    assert result.exit_code == 1
    assert only_json(result.stdout)["differing_elements"] > 0
    assert "NOT bit-exact" in cli("verify", folder, "--on", "host").stdout


def test_verify_reports_accuracy_and_differences_from_expected_outputs(cli, project, tmp_path):
    from tinytailor.cli.output import rounded
    from tinytailor.compiler import verify
    from tinytailor.nas.scores import score_answers

    x = tiny_model.int8_inputs(20)
    (y,) = verify(project, "host", x)["outputs"]
    expected = y.copy()
    expected[3, 1] ^= 1
    expected[7, :2] ^= 1
    labels = y.argmax(axis=1)
    labels[:5] = (labels[:5] + 1) % tiny_model.CLASSES
    np.savez(tmp_path / "x.npz", x=x, y=labels, logged=expected)
    words = ("--inputs", tmp_path / "x.npz", "--expect", "logged", "--json")
    found = only_json(cli("verify", project, *words).stdout)
    assert found["bit_exact"] is True
    assert found["accuracy"] == found["scores"]["accuracy"] == 0.75
    assert found["scores"] == rounded(score_answers(labels, y.argmax(axis=1), "0123").to_json())
    shown = cli("verify", project, *words[:-1]).stdout
    balanced = f"{100 * found['scores']['balanced_accuracy']:.2f} %"
    assert f"accuracy 75.00 % of 20, balanced accuracy {balanced}, macro-F1" in shown
    rows = [line.split() for line in shown.splitlines()]
    for name, row in enumerate(found["scores"]["confusion"]):
        assert [str(name), *map(str, row)] in rows
    assert found["expected"] == {
        "rows": 20,
        "equal_rows": 18,
        "differing_elements": 3,
        "largest_difference": 1,
    }


def test_float_inputs_are_quantized_as_the_model_does(cli, project, tmp_path):
    q = tiny_model.int8_inputs(6)
    real = (q.astype(np.float32) - tiny_model.INPUT_ZERO) * np.float32(tiny_model.INPUT_SCALE)
    np.savez(tmp_path / "q.npz", x=q)
    np.savez(tmp_path / "f.npz", measured=real.astype(np.float64))
    from tinytailor.cli.inputs import load_inputs

    manifest = json.loads((project / "manifest.json").read_text())
    from_float = load_inputs(tmp_path / "f.npz", manifest)
    assert from_float.quantized
    np.testing.assert_array_equal(from_float.batches[0], q)
    assert cli("verify", project, "--inputs", tmp_path / "f.npz").exit_code == 0


def test_a_project_of_an_earlier_tool_is_named_as_such(cli, project, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(project, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    for border in manifest["inputs"]:
        del border["step"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    np.savez(tmp_path / "x.npz", x=tiny_model.int8_inputs(2))
    result = cli("verify", folder, "--inputs", tmp_path / "x.npz")
    assert result.exit_code == 2
    assert "compiled by an earlier tinytailor" in result.stderr
    assert cli("verify", folder, "--on", "host").exit_code == 0


@pytest.fixture(scope="module")
def sum_of_two(tmp_path_factory):
    """A project that adds its inputs ``left`` and ``right``."""
    from tinytailor.compiler import compile_model
    from tinytailor.compiler.ir import Graph, Node, Tensor
    from tinytailor.compiler.ops import Add
    from tinytailor.targets import load_target

    left, right = (Tensor(name, (1, 4, 3, 2), "int8", 0.5, 3) for name in ("left", "right"))
    y = Tensor("y", left.shape, "int8", 1.0, 0)
    node = Node("y", Add.from_scales(left, right, y), ("left", "right"), "y")
    graph = Graph("sum", ("left", "right"), ("y",), {t.name: t for t in (left, right, y)}, (node,))
    folder = tmp_path_factory.mktemp("sum") / "sum"
    compile_model(graph, load_target("nucleo-f446re"), folder, "sum", model_sha256="")
    return folder


def test_a_model_with_two_inputs_reads_the_arrays_of_their_names(cli, sum_of_two, tmp_path):
    rng = np.random.default_rng(0)
    left, right = (rng.integers(-40, 40, (5, 4, 3, 2)).astype(np.int8) for _ in range(2))
    both = np.rint((left.astype(float) - 3) * 0.5 + (right.astype(float) - 3) * 0.5)
    path = tmp_path / "x.npz"
    np.savez(path, right=right, left=left, both=both.astype(np.int8))
    found = only_json(
        cli("verify", sum_of_two, "--inputs", path, "--expect", "both", "--json").stdout
    )
    assert found["bit_exact"]
    assert found["samples"] == 5
    assert found["expected"]["largest_difference"] <= 1  # halves may be rounded otherwise
    assert cli("profile", sum_of_two, "--inputs", path).exit_code == 0


@pytest.mark.parametrize(
    ("arrays", "options", "complaint"),
    [
        ({"left": 5}, (), "reads the arrays left, right; it has left int8"),
        ({"left": 5, "right": 4}, (), "equally many rows, got 5 of left, 4 of right"),
        ({"left": 5, "right": 5}, ("--input-name", "left"), "leave --input-name out"),
    ],
)
def test_arrays_that_do_not_fit_two_inputs_are_refused(
    cli, sum_of_two, tmp_path, arrays, options, complaint
):
    shapes = {name: np.zeros((rows, 4, 3, 2), np.int8) for name, rows in arrays.items()}
    np.savez(tmp_path / "x.npz", **shapes)
    result = cli("verify", sum_of_two, "--inputs", tmp_path / "x.npz", *options)
    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.split())


def test_profile_adds_up_and_shows_every_layer(cli, project):
    values = only_json(cli("profile", project, "--json").stdout)
    layers = sum(layer["cycles"] for layer in values["layers"])
    assert layers + values["glue"]["cycles"] == pytest.approx(
        values["cycles"], abs=len(values["layers"])
    )
    shown = cli("profile", project).stdout
    assert all(layer["name"] in shown for layer in values["layers"])
    assert "emulated" in shown


def test_report_of_a_project_shows_its_manifest(cli, project):
    manifest = json.loads((project / "manifest.json").read_text())
    assert only_json(cli("report", project, "--json").stdout) == manifest
    assert f"{manifest['arena_bytes']} B" in cli("report", project).stdout


def test_a_board_of_the_users_own_works_like_a_shipped_one(cli, model, tmp_path):
    """Its constants are a guess, and whatever tells a time says so."""
    import tinytailor.targets as targets
    from tinytailor.targets import target_names

    assert "nucleo-l4r5zi" in target_names()
    shipped = Path(targets.__file__).parent / "boards" / "nucleo-l4r5zi.toml"
    mine, project = tmp_path / "mine.toml", tmp_path / "p"
    name = tomllib.loads(shipped.read_text())["name"]
    text = shipped.read_text().replace(f'"{name}"', '"my-board"', 1)
    mine.write_text(text.replace("calibrated = true", "calibrated = false", 1))
    result = cli("compile", model, "--target", mine, "-o", project)
    assert result.exit_code == 0, result.stderr
    said = " ".join(result.stdout.split())
    assert "uncalibrated, error about 2.1 %; flash term 0.5 to 1 cycle a byte)" in said
    manifest = json.loads((project / "manifest.json").read_text())
    low, high = manifest["latency_range_ms"]  # of the two sets of constants in its file
    assert low < high
    assert f"ms (modelled, from {low:.3f} to {high:.3f} ms; " in said
    assert json.loads((project / "manifest.json").read_text())["target"] == "my-board"
    assert cli("verify", project).exit_code == 0
    for command in ("profile", "report"):
        shown = " ".join(cli(command, project).stdout.split())
        assert f"latency (emulated, modelled, uncalibrated, from {low:.3f} to" in shown
        assert "uncalibrated, error about 2.1 %; flash term 0.5 to 1 cycle a byte; fitted" in shown


def test_fitted_constants_come_with_their_error(cli, project):
    shown = " ".join(cli("profile", project).stdout.split())
    assert "uncalibrated" not in shown
    assert "fitted on measurements, mean error 1.9 % on them" in shown


def test_json_stays_clean_in_a_real_process(project):
    """Nothing that a library prints lands between the braces."""
    command = [sys.executable, "-m", "tinytailor.cli", "profile", str(project), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "tiny"


def test_compile_tells_what_each_pass_did_and_dumps_the_stages(cli, model, tmp_path):
    folder = tmp_path / "stages"
    words = ("compile", model, "-t", "nucleo-f446re", "-o", tmp_path / "p", "--dump", folder)
    result = cli(*words, "--why")
    assert result.exit_code == 0, result.stderr
    names = [path.name for path in sorted(folder.iterdir())]
    assert names[0] == "00_import.txt"
    manifest = json.loads((tmp_path / "p" / "manifest.json").read_text())
    stages = [stage["name"] for stage in manifest["passes"]]
    assert names == [f"{i:02d}_{stage}.txt" for i, stage in enumerate(stages)]
    assert all(stage in result.stdout for stage in stages)
    assert "operations became" in result.stdout
    (folder / "thesis.txt").write_text("important")
    again = cli(*words)
    assert again.exit_code == 2
    assert "no dumped stage" in again.stderr
    assert (folder / "thesis.txt").read_text() == "important"


def test_report_of_a_project_draws_the_arena(cli, project):
    text = cli("report", project).stdout
    manifest = json.loads((project / "manifest.json").read_text())
    assert f"Arena: {manifest['arena_bytes']} B" in text
    for buffer in manifest["arena"]:
        assert all(tensor in text for tensor in buffer["tensors"])


def test_a_project_has_a_page_too(cli, project, tmp_path):
    manifest = json.loads((project / "manifest.json").read_text())
    file = tmp_path / "page.html"
    assert cli("report", project, "--html", file).exit_code == 0
    text = file.read_text()
    assert f"{manifest['latency_ms']:.3f} ms" in text
    assert all(layer["name"] in text for layer in manifest["layers"])
    assert manifest["model_sha256"] in text
    assert '<section id="arena">' in text


def test_layers_are_counted_as_in_the_arena(project):
    """A layer's output lies in a buffer from that layer on, a layer's scratch only there."""
    manifest = json.loads((project / "manifest.json").read_text())
    first = {buffer["name"]: buffer["first"] for buffer in manifest["arena"]}
    shared = [layer for layer in manifest["layers"] if layer["name"] in first]
    assert shared
    assert all(layer["index"] == first[layer["name"]] for layer in shared)


@pytest.fixture(scope="module")
def two_outputs(cli, data_folder, tmp_path_factory):
    """A project with two maps as outputs, inputs, and what onnxruntime made of them, in steps."""
    cases = data_folder.parent / "cases"
    if not cases.is_dir():
        pytest.skip(f"no model files at {cases}")
    folder = tmp_path_factory.mktemp("two") / "project"
    model = cases / "24-two-outputs-expect.onnx"
    assert cli("compile", model, "--target", "nucleo-f446re", "-o", folder).exit_code == 0
    outputs = json.loads((folder / "manifest.json").read_text())["outputs"]
    references = np.load(cases / "references.npz")
    arrays = {"x": np.moveaxis(references["24_x0"], 1, -1)}
    for place, output in enumerate(outputs):
        real = np.moveaxis(references[f"24_y{place}"], 1, -1)
        steps = np.rint(real / np.float32(output["scale"])) + output["zero_point"]
        arrays[f"y{place}"] = steps.clip(-128, 127).astype(np.int8)
    return folder, [output["name"] for output in outputs], arrays


def test_expected_outputs_are_compared_for_all_outputs_or_those_named(cli, two_outputs, tmp_path):
    folder, names, arrays = two_outputs
    np.savez(tmp_path / "x.npz", **arrays)
    words = ("verify", folder, "--inputs", tmp_path / "x.npz", "--input-name", "x", "--json")
    both = only_json(cli(*words, "--expect", "y0,y1").stdout)["expected"]
    assert list(both["outputs"]) == names
    assert both["largest_difference"] <= 1
    parts = both["outputs"].values()
    assert both["differing_elements"] == sum(part["differing_elements"] for part in parts)
    arrays["y1"][2] ^= 64
    np.savez(tmp_path / "x.npz", **arrays)
    both = only_json(cli(*words, "--expect", "y0,y1").stdout)["expected"]
    assert [part["largest_difference"] for part in both["outputs"].values()] == [0, 64]
    one = only_json(cli(*words, "--expect", f"{names[1]}=y1").stdout)["expected"]
    assert "outputs" not in one
    assert one["equal_rows"] == len(arrays["x"]) - 1
    shown = cli(*words[:-1], "--expect", "y0,y1").stdout
    assert all(f"against the expected {name}: " in shown for name in names)


def test_arrays_in_the_layout_of_the_model_and_of_the_device_mean_the_same(
    cli, two_outputs, tmp_path
):
    folder, _, arrays = two_outputs
    words = ("verify", folder, "--inputs", tmp_path / "x.npz", "--input-name", "x", "--json")
    np.savez(tmp_path / "x.npz", **arrays)
    as_device = cli(*words, "--expect", "y0,y1")
    np.savez(tmp_path / "x.npz", **{name: np.moveaxis(a, -1, 1) for name, a in arrays.items()})
    as_model = cli(*words, "--expect", "y0,y1")
    found, same = only_json(as_device.stdout), only_json(as_model.stdout)
    (told,) = found.pop("warnings")
    assert "array x" in told
    assert "is not in the layout of the model" in told
    assert same.pop("warnings") == []
    assert found == same


def test_expected_outputs_that_fit_none_are_refused_in_a_sentence(cli, two_outputs, tmp_path):
    folder, names, arrays = two_outputs
    arrays["turned"] = np.moveaxis(arrays["y0"], 2, 1)
    np.savez(tmp_path / "x.npz", **arrays)
    words = ("verify", folder, "--inputs", tmp_path / "x.npz", "--input-name", "x", "--expect")
    for given, sentence in (
        ("y0", f"the model has 2 outputs {', '.join(names)}; name an array for each"),
        ("z=y0", "those to compare as OUTPUT=ARRAY"),
        ("turned,y1", "maps have their channels last"),
    ):
        result = cli(*words, given)
        assert result.exit_code == 2
        assert sentence in " ".join(result.stderr.split())
