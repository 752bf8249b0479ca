# SPDX-License-Identifier: Apache-2.0
"""import tinytailor as tt: projects from Python, beside onnxruntime and the commands."""

from __future__ import annotations

import ast
import dataclasses
import gc
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from tiny_model import CLASSES, INPUT_SCALE, INPUT_ZERO, SHAPE, only_json
from two_ports import SCALES, two_ports
from two_ports import SHAPE as PORT

import tinytailor as tt
from tinytailor.cli.batches import as_device, as_model
from tinytailor.compiler import verify
from tinytailor.compiler.references import onnx_session
from tinytailor.targets import Board

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

STEP = 0.03  # of the outputs of the tiny model


@pytest.fixture(scope="module")
def tiny(project) -> tt.Project:
    return tt.load(project)


@pytest.fixture(scope="module")
def ports() -> tt.Project:
    return tt.compile(two_ports(), "nucleo-f446re", name="ports")


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    """Samples for the tiny model, some beyond what its input holds."""
    return np.random.default_rng(0).normal(0, 0.9, (20, *SHAPE[1:])).astype(np.float32)


def test_what_runs_is_onnxruntime_within_a_step_in_the_layout_of_the_model(tiny, model, x):
    session = onnx_session(Path(model))
    expected = np.concatenate([session.run(None, {"input": one[None]})[0] for one in x])
    found = tiny.run(x)
    assert (found.shape, found.dtype) == ((20, CLASSES), np.float32)
    assert np.abs(found - expected).max() <= STEP * 1.001
    assert np.mean(found == expected) > 0.9
    np.testing.assert_array_equal(tiny.run(x.astype(np.float64).tolist()), found)


def test_a_sample_is_answered_without_a_batch_and_a_batch_of_one_with_it(tiny, x):
    assert tiny.run(x[0]).shape == (CLASSES,)
    assert tiny.run(x[:1]).shape == (1, CLASSES)
    np.testing.assert_array_equal(tiny.run(x[0]), tiny.run(x)[0])


def test_raw_outputs_are_the_integers_that_verify_compares(tiny, project, x):
    raw = tiny.run(x, raw=True)
    (expected,) = verify(project, "host", int8_of(x))["outputs"]
    assert raw.dtype == np.int8
    np.testing.assert_array_equal(raw, expected)
    np.testing.assert_array_equal(tiny.run(x), (raw + np.float32(128)) * np.float32(STEP))


def int8_of(x: np.ndarray) -> np.ndarray:
    """As the tiny model quantizes, in the order of the device."""
    steps = np.rint(x / np.float32(INPUT_SCALE)) + INPUT_ZERO
    return steps.clip(-128, 127).astype(np.int8).transpose(0, 2, 3, 1)


def test_int8_are_the_integers_of_the_device_whatever_the_layout(tiny, x):
    q = int8_of(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(tiny.run(q.transpose(0, 3, 1, 2)), tiny.run(x))
    with pytest.warns(tt.Doubt, match="is not in the layout of the model, so it is taken as"):
        np.testing.assert_array_equal(tiny.run(q), tiny.run(x))


def test_classes_without_names_are_indices(tiny, x):
    best = tiny.run(x, raw=True).argmax(axis=1)
    np.testing.assert_array_equal(tiny.classify(x), best)
    assert tiny.classify(x[3]) == best[3]
    assert isinstance(tiny.classify(x[3]), int)
    assert tiny.classes == ()


def test_several_inputs_have_names_or_an_order(ports):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-2, 2, (2, 6, *PORT[1:])).astype(np.float32)
    found = ports.run_all({"right": b, "left": a})
    assert {name: y.shape for name, y in found.items()} == dict.fromkeys(("sum", "kept"), a.shape)
    assert np.abs(found["sum"] - (a + b)).max() <= 1.6 * SCALES["sum"]
    assert np.abs(found["kept"] - a.clip(0)).max() <= 0.6 * SCALES["left"]
    for other in ((a, b), [a.tolist(), b]):
        again = ports.run_all(other)
        assert all(np.array_equal(again[name], found[name]) for name in found)
    single = ports.run_all((a[0], b[0]))["sum"]
    np.testing.assert_array_equal(single, found["sum"][0])
    with pytest.raises(tt.InputError, match="ports has 2 outputs, sum, kept: run_all returns them"):
        ports.run((a, b))
    assert ports.verify(on="host", inputs=(a, b)).bit_exact
    assert ports.verify(on="host", inputs={"left": a, "right": b}).samples == 6


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (np.zeros((3, 7), np.float32), r"run: array input is float32 \(3, 7\), the model reads "
         r"int8 or float \(rows, 2, 8, 6\), or in the order of the device \(rows, 8, 6, 2\)"),
        (np.zeros(SHAPE, np.int64), r"array input is int64 \(1, 2, 8, 6\), the model reads int8"),
        (np.full(SHAPE, np.nan, np.float32), "holds NaN or infinity, first in row 0"),
        (np.zeros((0, *SHAPE[1:]), np.float32), "array input has no rows"),
        ({"imput": np.zeros(SHAPE)}, "has no input 'imput'; did you mean input?"),
        ({}, "run: no array for input input; it reads input"),
        ([[1.0], [1.0, 2.0]], "run: array input is no array"),
        (None, "run: array input is NoneType, expected an array of numbers"),
    ],
)  # fmt: skip
def test_what_fits_no_input_is_refused_with_what_does(tiny, given, sentence):
    with pytest.raises(tt.InputError, match=sentence):
        tiny.run(given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ((np.zeros(PORT, np.float32),), "got 1 arrays, expected an array for each of the 2 inputs"),
        (np.zeros(PORT, np.float32), "got ndarray, expected .* left, right, as a dict or in this"),
        ({"left": np.zeros(PORT)}, "no array for input right; it reads left, right"),
        (
            (np.zeros((2, *PORT[1:])), np.zeros((3, *PORT[1:]))),
            "the inputs need equally many rows, got 2 of left, 3 of right",
        ),
    ],
)
def test_several_inputs_that_are_not_all_there_are_refused(ports, given, sentence):
    with pytest.raises(tt.InputError, match=sentence):
        ports.run_all(given)


def test_answers_are_asked_of_what_has_classes_only(ports):
    with pytest.raises(tt.InputError, match="ports has several outputs, expected one with a numb"):
        ports.classify((np.zeros(PORT), np.zeros(PORT)))


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"target": "nucleo-f446"}, "no target is called 'nucleo-f446'; did you mean nucleo-f446r"),
        ({"target": 446}, "target is int, expected a name, the path of a .toml file, or a board"),
        ({"model": "nowhere.onnx"}, "cannot read model nowhere.onnx: there is no such file"),
        ({"model": Path("m.pb")}, "unknown kind of model; expected .onnx or .tflite"),
        ({"model": 3}, "model is int, expected the path of an .onnx or .tflite file, its bytes"),
        ({"model": b"ONNX"}, "model.onnx"),
        ({"name": "int"}, "name 'int' cannot be used"),
        ({"calibration": "samples.npz"}, "cannot read samples.npz"),
    ],
)
def test_what_cannot_be_compiled_is_refused(model, how, sentence):
    with pytest.raises(tt.InputError, match=re.escape(sentence)):
        tt.compile(**{"model": model, "target": "nucleo-f446re", **how})


def test_a_board_that_was_changed_in_memory_is_refused(model):
    board = tt.load_target("nucleo-f446re")
    assert isinstance(board, Board)
    faster = dataclasses.replace(board, clock_hz=2 * board.clock_hz)
    with pytest.raises(tt.InputError, match="board nucleo-f446re is not what its file says"):
        tt.compile(model, faster)


def test_bytes_and_a_board_make_the_project_that_the_command_makes(tiny, model, tmp_path):
    out, board = tmp_path / "p", tt.load_target("nucleo-f446re")
    made = tt.compile(Path(model).read_bytes(), board, out=out, name="tiny")
    assert {p.name for p in made.files} == {p.name for p in tiny.files}
    for file in ("tiny.c", "tiny.h", "manifest.json"):
        assert (out / file).read_text() == (tiny.folder / file).read_text()
    assert made.arena_bytes == tiny.manifest["arena_bytes"] == tiny.profile().arena_bytes
    assert str(made).splitlines()[0] == "tiny for nucleo-f446re"
    assert f"arena {made.arena_bytes} B, RAM {made.ram_bytes} B" in str(made)
    (port,) = made.inputs
    assert (port.name, port.shape, port.dtype) == ("input", SHAPE, "float32")


def test_a_project_without_a_folder_goes_with_its_object(model):
    made = tt.compile(model, "nucleo-f446re")
    made.run(np.zeros(SHAPE))
    folders = [made.folder, made._built.folder]
    assert all(folder.is_dir() for folder in folders)
    copied = dataclasses.replace(made)
    del made
    gc.collect()
    assert copied.run(np.zeros(SHAPE)).shape == (1, CLASSES)
    del copied
    gc.collect()
    assert not any(folder.exists() for folder in folders)


def test_records_are_what_the_commands_print(cli, tiny, project, x, tmp_path):
    y = tiny.classify(x)
    np.savez(tmp_path / "x.npz", x=x, y=y)
    found = tiny.verify(on="host", inputs={"x": x, "y": y})
    assert (found.bit_exact, found.accuracy, found.samples) == (True, 1.0, 20)
    words = ("verify", project, "--on", "host", "--inputs", tmp_path / "x.npz", "--json")
    assert only_json(cli(*words).stdout) == found.to_json()
    assert tiny.verify(on="host", inputs=tmp_path / "x.npz") == found
    cost = tt.profile(project, inputs=x)
    shown = only_json(cli("profile", project, "--inputs", tmp_path / "x.npz", "--json").stdout)
    assert cost.to_json() == shown
    assert sum(layer.macs for layer in cost.layers) == cost.macs == tiny.manifest["macs"]
    assert (cost.on, cost.name, cost.latency_ms) == ("emulator", "tiny", tiny.latency_ms)


def test_saturated_inputs_are_told_as_a_warning(tiny, x):
    with pytest.warns(tt.Doubt, match="are beyond what int8 holds here"):
        found = tiny.verify(on="host", inputs=100 * x)
    assert "are beyond what int8 holds here" in found.warnings[0]


def test_a_profile_takes_a_model_or_a_project(model, project):
    assert tt.profile(model, "nucleo-g0b1re").target == "nucleo-g0b1re"
    with pytest.raises(tt.InputError, match="the profile of a model needs a target"):
        tt.profile(model)
    with pytest.raises(tt.InputError, match="tiny is compiled for nucleo-f446re already"):
        tt.profile(project, "nucleo-g0b1re")
    with pytest.raises(tt.InputError, match="choose from inputs; give some"):
        tt.load(project).verify(expect="y")
    with pytest.raises(tt.InputError, match="no compiled project there"):
        tt.load(model.parent)


def test_what_runs_is_the_c_that_lies_in_the_folder(project, tmp_path, x):
    folder = tmp_path / "changed"
    shutil.copytree(project, folder)
    changed = tt.load(folder)
    before = changed.run(x, raw=True)
    source = folder / "tiny.c"
    head, bias, rest = source.read_text().partition("_bias[4] = {\n    ")
    source.write_text(head + bias + "999999" + rest[rest.index(",") :])
    assert not np.array_equal(changed.run(x, raw=True), before)
    found = changed.verify(on="host")
    assert not found.bit_exact
    assert found.differing_elements > 0


def test_names_are_imported_listed_and_found_alike(repository):
    """What a type checker reads, what is loaded at run time, and what ``import *`` takes."""
    tree = ast.parse((repository / "__init__.py").read_text())
    (branch,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {
        node.module: tuple(alias.name for alias in node.names)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
    }
    assert imported == tt._PLACES
    assert sorted(name for names in imported.values() for name in names) == tt.__all__
    assert set(tt.__all__) <= set(dir(tt))
    with pytest.raises(AttributeError, match="no attribute 'complie'"):
        tt.complie  # noqa: B018
    assert issubclass(tt.BudgetError, tt.TinytailorError)


def test_arrays_of_a_search_lie_as_its_data_do_and_others_as_the_model_has_them():
    """Where both fit, as of eight channels on 8 x 8 pixels, and where one does."""
    border = {"shape": [1, 8, 8, 8], "model": {"shape": [1, 8, 8, 8], "axes": [0, 2, 3, 1]}}
    x = np.arange(2 * 8**3).reshape(2, 8, 8, 8)
    rows, ours = as_device(x, border, searched=True)
    assert not ours
    np.testing.assert_array_equal(rows, x)
    np.testing.assert_array_equal(as_device(x, border)[0], x.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(as_model(as_device(x, border)[0], border), x)
    border = {"shape": [1, 4, 5, 3], "model": {"shape": [1, 3, 4, 5], "axes": [0, 2, 3, 1]}}
    assert [as_device(np.zeros((2, 4, 5, 3)), border, one)[1] for one in (True, False)] == [0, 1]
