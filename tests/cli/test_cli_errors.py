# SPDX-License-Identifier: Apache-2.0
"""Every mistake ends in a sentence on stderr and the exit code of its kind, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tiny_model
from tiny_model import only_json

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

USAGE, CHECK, TOOL = 2, 1, 4


def ends_with_a_sentence(result, code, *fragments):
    assert result.exit_code == code, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].strip()
    for fragment in fragments:
        assert fragment in result.stderr, result.stderr
    return True


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        (("--target", "nucleo-f999"), "no target is called 'nucleo-f999'; did you mean nucleo-f"),
        (("--target", "./none.toml"), "none.toml"),
        (("--target", "nucleo-f446re", "--name", "2fast"), "'2fast'"),
        (("--target", "nucleo-f446re", "--name", "while"), "'while'"),
        (("--target", "nucleo-f446re", "--name", "a/b"), "'a/b'"),
    ],
)
def test_compile_refuses_bad_options(cli, model, tmp_path, options, fragment):
    result = cli("compile", model, "-o", tmp_path / "p", *options)
    assert ends_with_a_sentence(result, USAGE, "error: ", fragment)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("name", "content", "fragment"),
    [
        ("none.onnx", None, "there is no such file"),
        ("model.pt", b"x", "unknown kind of model; expected .onnx or .tflite"),
        ("model.onnx", b"not a model", "model.onnx"),
        ("model.tflite", b"not a model", "model.tflite"),
        ("empty.onnx", b"", "empty.onnx"),
    ],
)
def test_compile_refuses_what_is_no_model(cli, tmp_path, name, content, fragment):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    result = cli("compile", path, "--target", "nucleo-f446re", "-o", tmp_path / "p")
    assert ends_with_a_sentence(result, USAGE, "error: ", fragment)
    assert not (tmp_path / "p").exists()


def test_compile_leaves_a_strangers_folder_alone(cli, model, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    result = cli("compile", model, "--target", "nucleo-f446re", "-o", tmp_path)
    assert ends_with_a_sentence(result, USAGE, "choose an empty or new folder")
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("command", ["verify", "profile", "report"])
def test_a_folder_that_is_no_project_is_refused(cli, tmp_path, command):
    assert ends_with_a_sentence(cli(command, tmp_path), USAGE, "tinytailor compile")
    assert ends_with_a_sentence(cli(command, tmp_path / "none"), USAGE, "error: ")
    (tmp_path / "manifest.json").write_text("{")
    assert ends_with_a_sentence(cli(command, tmp_path), USAGE, "manifest.json")


ROWS = tiny_model.int8_inputs(4)


@pytest.mark.parametrize(
    ("arrays", "options", "fragment"),
    [
        ({"x": ROWS[:, :5]}, (), "array x is int8 (4, 5, 6, 2), the model reads"),
        ({"x": ROWS.astype(np.int32)}, (), "the model reads int8 or float (rows, 2, 8, 6)"),
        ({"x": ROWS[:0]}, (), "has no rows"),
        ({"x": ROWS.astype(np.float32) * np.nan}, (), "holds NaN or infinity, first in row 0"),
        ({"a": ROWS, "b": ROWS}, (), "more than one array fits"),
        ({"a": ROWS[:, :5]}, (), "no array fits"),
        ({"a": ROWS}, ("--input-name", "z"), "has no array z; it has: a int8"),
        (
            {"x": ROWS, "y": np.zeros(3, int)},
            (),
            "labels (y) are int64 (3,), expected one whole number",
        ),
        ({"x": ROWS, "y": np.array([0, 1, 4, 0])}, (), "label 4 of row 2 is none of the 4 classes"),
        ({"x": ROWS}, ("--expect", "out"), "has no array out for --expect"),
        ({"x": ROWS, "out": ROWS[:2]}, ("--expect", "out"), "expected int8 outputs for 4 rows"),
        ({"x": ROWS, "out": ROWS}, ("--expect", "out"), "is (rows, 4)"),
    ],
)
def test_verify_refuses_inputs_that_do_not_fit(cli, project, tmp_path, arrays, options, fragment):
    np.savez(tmp_path / "x.npz", **arrays)
    result = cli("verify", project, "--on", "host", "--inputs", tmp_path / "x.npz", *options)
    assert ends_with_a_sentence(result, USAGE, "error: ", fragment)


def test_one_of_several_fitting_arrays_can_be_named(cli, project, tmp_path):
    np.savez(tmp_path / "x.npz", a=ROWS, b=ROWS)
    words = ("--on", "host", "--inputs", tmp_path / "x.npz", "--input-name", "b")
    assert cli("verify", project, *words).exit_code == 0


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 broken", b"text"])
def test_verify_refuses_what_is_no_npz(cli, project, tmp_path, content):
    path = tmp_path / "x.npz"
    if content is not None:
        path.write_bytes(content)
    result = cli("verify", project, "--inputs", path)
    assert ends_with_a_sentence(result, USAGE, "error: ", "x.npz")


def test_verify_refuses_arrays_of_objects_and_single_arrays(cli, project, tmp_path):
    np.savez(tmp_path / "objects.npz", x=np.array([{}, []], dtype=object))
    np.save(tmp_path / "single.npy", ROWS)
    for name in ("objects.npz", "single.npy"):
        result = cli("verify", project, "--inputs", tmp_path / name)
        assert ends_with_a_sentence(result, USAGE, "error: ", name)


def test_expect_without_inputs_says_what_to_add(cli, project):
    assert ends_with_a_sentence(cli("verify", project, "--expect", "y"), USAGE, "add --inputs FILE")


def test_an_unknown_runner_is_refused(cli, project):
    assert ends_with_a_sentence(cli("profile", project, "--on", "moon"), USAGE, "moon")
    for runner in ("moon", "csim"):
        result = cli("verify", project, "--on", runner)
        known = f"does not run on {runner}; it runs on: host, emulator, qemu, serial:PORT"
        assert ends_with_a_sentence(result, USAGE, known)


def test_a_missing_compiler_is_a_tool_error(project):
    environment = {**os.environ, "PATH": "/nonexistent", "TINYTAILOR_CC": "gcc"}
    command = [sys.executable, "-m", "tinytailor.cli", "verify", str(project)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == TOOL
    assert "arm-none-eabi-gcc is not on PATH" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_that_was_cut_is_refused(cli, tmp_path):
    (tmp_path / "report.json").write_text('{"kind": "search"}')
    assert ends_with_a_sentence(cli("report", tmp_path), USAGE, "is not complete")
    (tmp_path / "report.json").write_text('{"kind": "sea')
    assert ends_with_a_sentence(cli("report", tmp_path), USAGE, "cannot read")


def test_names_are_printed_as_they_are(cli, model, tmp_path):
    folder = tmp_path / "a[bold]b"
    result = cli("compile", model, "--target", "nucleo-f446re", "-o", folder)
    assert str(folder) in result.stdout
    assert "c[red]d" in cli("verify", tmp_path / "c[red]d").stderr


def test_an_error_is_json_too(cli, tmp_path):
    result = cli("report", tmp_path, "--json")
    found = only_json(result.stdout)
    assert found["exit_code"] == result.exit_code == USAGE
    assert found["error"] in result.stderr.replace("error: ", "")


@pytest.mark.parametrize(
    "words", [("nonsense",), ("compile",), ("targets", "--colour"), ("search", "--seed", "-1")]
)
def test_wrong_usage_exits_with_2(cli, words):
    assert cli(*words).exit_code == USAGE


SEARCH = ("search", "--data", "ucr:BasicMotions", "--target", "nucleo-f446re")


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        (("--latency", "10"), "latency '10' has no unit"),
        (("--ram", "64K"), "size '64K' has unknown unit"),
        (("--ram", "4MiB"), "--ram 4MiB is more than nucleo-f446re has: 131072 bytes"),
        (("--latency", "-1ms"), "latency"),
        (("--name", "a b"), "'a b'"),
        (("--trials", "0"), "trials must be 1 or more"),
        (("--algorithm", "magic"), "no algorithm is called 'magic'"),
        (("--metric", "f1"), "no metric is called 'f1'"),
        (("--class-weights", "equal"), "no kind of class weights is called 'equal'"),
        (("--space", "hyper"), "no search space is called 'hyper'"),
        (("--target", "ultra96-v2"), "is a target of kind fpga"),
        (("--target", "rpi-pico,nucleo-f999"), "no target is called 'nucleo-f999'"),
        (("--target", "rpi-pico,rpi-pico"), "--target rpi-pico,rpi-pico: rpi-pico is there twice"),
        (
            ("--target", "nucleo-l4r5zi,nucleo-g0b1re", "--ram", "256KiB"),
            "--ram 256KiB is more than nucleo-g0b1re has: 147456 bytes",
        ),
        (("--table", "a,b"), "--table a,b: 2 files for 1 targets; give one for all, or one for"),
        (("--data", "ucr:Nothing"), "Nothing"),
        (("--data", "npz:none.npz"), "none.npz"),
        (("--data", "magic"), "has no known source 'magic'"),
    ],
)
def test_search_refuses_bad_options_before_it_measures(cli, tmp_path, options, fragment):
    table = tmp_path / "table.jsonl"
    result = cli(*SEARCH, "-o", tmp_path / "run", "--table", table, *options)
    assert ends_with_a_sentence(result, USAGE, "error: ", fragment)
    assert not table.exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("space", "fragment"),
    [
        ("micronas", "alone does not say which operators are needed"),
        ("micronas:0x3x2", "is not STEPSxCHANNELSxCLASSES"),
        ("nope:10x2x3", "no search space is called 'nope'"),
    ],
)
def test_measure_needs_a_space_with_a_shape(cli, space, fragment):
    words = ("measure", "--target", "nucleo-f446re", "--space", space)
    assert ends_with_a_sentence(cli(*words), USAGE, fragment)


def test_measure_refuses_a_file_that_is_no_table(cli, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a table\n")
    words = ("--data", "ucr:BasicMotions", "--target", "nucleo-f446re", "--out", path)
    assert ends_with_a_sentence(cli("measure", *words), USAGE, "is not a latency table")
    assert path.read_text() == "not a table\n"


def heed_ctrl_c() -> None:
    """Jobs in the background of a shell ignore SIGINT, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_with_one_line_and_130(tmp_path):
    out = tmp_path / "table.jsonl"
    words = ("measure", "--space", "micronas:50x3x2", "-t", "nucleo-f446re", "--out", str(out))
    command = [sys.executable, "-m", "tinytailor.cli", *words, "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c
    )
    while process.poll() is None and not out.exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1].startswith("error: interrupted")
    assert json.loads(stdout)["exit_code"] == 130
