# SPDX-License-Identifier: Apache-2.0
"""Wrong usage: unknown names, words in each other's places, and their errors as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import only_json

from tinytailor.cli.mixups import EXAMPLES, IN_WORDS, INSTEAD, WANTS, kind_of

pytestmark = [pytest.mark.pure]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a project, a RUN folder and a table lie."""
    monkeypatch.chdir(tmp_path)
    for name in ("build/kws/manifest.json", "run/settings.json", "net.onnx/manifest.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("{}")
    return tmp_path


SWAPPED = [
    (
        "compile --target model.tflite nucleo-f446re",
        "nucleo-f446re is a target and model.tflite is a model, each in another's place; write: "
        "tinytailor compile model.tflite --target nucleo-f446re --out OUT",
    ),
    (
        "compile kws.TFLITE nucleo-f446re -o d --why",
        "nucleo-f446re is a target; write: "
        "tinytailor compile kws.TFLITE --target nucleo-f446re --out d --why",
    ),
    (
        "verify model.npz --inputs build/kws",
        "model.npz is a file of arrays and build/kws is a compiled project, each in another's "
        "place; write: tinytailor verify build/kws --inputs model.npz",
    ),
    ("verify build/kws x.npz", "write: tinytailor verify build/kws --inputs x.npz"),
    (
        "quantize samples.NPZ --calibration model.onnx",
        "write: tinytailor quantize model.onnx --calibration samples.NPZ --out OUT",
    ),
    (
        "search --latency 64KiB --ram 10ms --data ucr:A",
        "write: tinytailor search --data ucr:A --target TARGET --out OUT --latency 10ms "
        "--ram 64KiB",
    ),
    ("search --ram 10ms", "--ram takes a size (64KiB, 48kB, 65536); write: tinytailor search "),
    ("search --latency 64KiB", "a size belongs to --ram or --flash"),
    ("search --ram 10ms --latency 5ms", "a time belongs to --latency"),
    ("compile build/kws", "tinytailor verify build/kws and tinytailor profile build/kws run it"),
    ("profile model.onnx", "tinytailor compile model.onnx --target TARGET -o DIR"),
    ("report x.onnx", "FOLDER takes a compiled project or the folder of a search; compile it"),
    ("verify run", "its project is run/project, its model run/model.onnx"),
    ("table show model.onnx", "FILE takes a latency table (.jsonl); compile it first"),
    ("profile tables/a.jsonl", "tinytailor table show tables/a.jsonl shows it"),
    ("measure --data a.npz -t rpi-pico", "write: --data npz:a.npz"),
    ("verify build/kws --on /dev/ttyACM0", "write serial:/dev/ttyACM0"),
    ("verify --on nucleo-f446re", "--on takes a runner (emulator, qemu, serial:PORT)"),
]


@pytest.mark.parametrize(("line", "sentence"), SWAPPED)
def test_words_in_the_place_of_others_are_noticed_before_what_is_missing(
    cli, folder, line, sentence
):
    result = cli(*line.split(), "--json")
    error = only_json(result.stdout)
    assert (result.exit_code, error["exit_code"]) == (2, 2)
    assert sentence.replace("--why", "--why --json") in error["error"] + " --json"
    assert result.stderr == f"error: {error['error']}\n"


def test_a_word_that_may_be_right_is_left_to_the_command(cli, folder):
    assert kind_of("net.onnx") == "project", "a folder is what lies in it"
    assert kind_of("ucr:BasicMotions") == kind_of("npz:mine.npz") == "data"
    for word in ("mine", "65536", "micronas:100x6x4", ".", "build"):
        assert kind_of(word) is None
    (folder / "rpi-pico").mkdir()
    assert kind_of("rpi-pico") is None, "here it is a folder"
    assert "no compiled project there" in cli("verify", "rpi-pico").stderr


def test_every_kind_of_word_has_a_name():
    wanted = {kind for kinds in WANTS.values() for kind in kinds}
    assert wanted | {*INSTEAD, *EXAMPLES} <= {*IN_WORDS}


WRONG = [
    ("complie x", "no command is called 'complie'; did you mean compile? known: targets, ops, "),
    ("table shwo", "no command is called 'shwo'; did you mean show? known: show, check, diff"),
    ("targets --jsno", "tinytailor targets has no option --jsno; did you mean --json?"),
    ("verify d --input x", "tinytailor verify has no option --input; did you mean --inputs or "),
    ("compile", "missing argument 'model'; `tinytailor compile --help` says what it takes"),
    ("calibrate -t rpi-pico --outliers kep", "--outliers cannot be 'kep'; did you mean keep? "),
    ("search --seed -1", "invalid value for '--seed'"),
    ("search --seed x", "invalid value for '--seed'"),
    ("targets a b", "unexpected extra argument"),
    ("targets rpi-pcio", "no target is called 'rpi-pcio'; did you mean rpi-pico? known: "),
]


@pytest.mark.parametrize(("line", "sentence"), WRONG)
def test_wrong_usage_is_one_sentence_on_stderr_and_with_json_one_object(cli, line, sentence):
    plain = cli(*line.split())
    assert plain.exit_code == 2
    assert plain.stdout == ""
    assert plain.stderr.startswith("error: ")
    assert plain.stderr.count("\n") == 1
    assert sentence in plain.stderr
    asked = cli(*line.split(), "--json")
    assert only_json(asked.stdout)["error"] == plain.stderr.removeprefix("error: ").strip()


def test_an_option_without_its_value_is_said_so(cli):
    assert cli("ops", "--target").stderr == "error: option '--target' requires an argument\n"


def test_a_group_without_a_command_shows_its_help(cli):
    result = cli("table")
    assert result.exit_code == 2
    assert "show" in result.output
    assert "error" not in result.output
    assert cli("--help").exit_code == cli("table", "show", "-h").exit_code == 0
    assert cli("--version").stdout.startswith("tinytailor ")
