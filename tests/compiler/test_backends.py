# SPDX-License-Identifier: Apache-2.0
"""Back ends behind one protocol: the shipped ones, and one more that nothing else knows of."""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from networks import residual_network

import tinytailor.targets as targets
from tinytailor.cli.report import read_report, sections
from tinytailor.compiler import compile_model, execute, operators_of, profile, verify
from tinytailor.compiler.backend import BACKENDS
from tinytailor.compiler.sections import Quantity, Section
from tinytailor.targets import load_target, require_board, target_names
from tinytailor.targets.errors import CheckError, InputError

pytestmark = [pytest.mark.emulator, pytest.mark.qemu, pytest.mark.tvm]

HERE = ("targets", "compiler", "latency_tables", "nas", "cli")


def test_every_shipped_target_has_a_back_end_in_a_folder_of_its_kind(repository):
    kinds = {load_target(name).kind for name in target_names()}
    assert kinds == set(BACKENDS)
    assert all((repository / "compiler" / kind / "backend.py").is_file() for kind in kinds)


def type_tests(path: Path) -> list[int]:
    """Lines that ask whether something is a board or an FPGA."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "isinstance"
        and {"Board", "Fpga"} & set(ast.unparse(node.args[1]).replace("|", " ").split())
    ]


def test_only_one_line_asks_for_the_type_of_a_target(repository):
    asking = {
        str(path.relative_to(repository)): lines
        for folder in HERE
        for path in (repository / folder).rglob("*.py")
        if (lines := type_tests(path))
    }
    assert {path: len(lines) for path, lines in asking.items()} == {"targets/board.py": 1}


def test_what_is_no_board_is_refused_with_what_needs_one():
    board = load_target("nucleo-f446re")
    assert require_board(board, "a test") is board
    with pytest.raises(InputError, match=r"ultra96-v2 is a target of kind fpga; a test needs a"):
        require_board(load_target("ultra96-v2"), "a test")


@dataclass(frozen=True)
class Sheet:
    """A target of a kind that does not exist: a sheet of paper."""

    name: str
    clock_hz: int
    definition: str
    kind: str = "paper"
    chip: str = "pencil"
    capacity: tuple[str, str] = ("one page", "")
    trust: str = "guessed"

    def record(self):
        return {"kind": self.kind, "name": self.name}

    def facts(self):
        return ()


class Paper:
    """Writes the names of a network's nodes down, and computes them in the head."""

    kind, pipeline, steps, runners = "paper", (), 1, ("head",)

    def operators(self):
        return {"add": "by hand"}

    def check(self, graph, target):
        if graph.name == "novel":
            raise InputError(f"a novel does not fit the {target.name}")

    def emit(self, graph, target, folder, name, *, model_sha256, on_step):
        on_step("writing it down")
        (folder / "sheet.txt").write_text("\n".join(node.name for node in graph.nodes))
        known = {"generator": "tinytailor", "name": name, "target": target.name}
        return {**known, "kind": self.kind, "latency_ms": 1.0}

    def default_runner(self, target):
        return "head"

    def run(self, project, on, inputs):
        return list(execute(project.graph, *inputs))

    def check_files(self, project):
        if (project.folder / "sheet.txt").read_text().count("\n") != len(project.graph.nodes) - 1:
            raise CheckError("the sheet was changed")

    def profile(self, project, on, inputs):
        return {"latency_ms": 2.0}

    def next_commands(self, folder):
        return (f"read {folder}",)

    def summary(self, manifest):
        return (f"{manifest['latency_ms']} ms",)

    def quantities(self, manifest):
        return (Quantity("time", "latency_ms", "{:.0f} ms"),)

    def details(self, manifest):
        return []

    def sections(self, manifest):
        return [Section(manifest["name"], ("", ""), [("time", f"{manifest['latency_ms']} ms")])]


def read_sheet(path: Path) -> Sheet:
    keys = tomllib.loads(path.read_text())
    return Sheet(keys["paper"], keys["clock_hz"], path.read_text())


@pytest.fixture
def sheet(tmp_path, monkeypatch):
    monkeypatch.setitem(BACKENDS, "paper", Paper())
    monkeypatch.setitem(targets._READERS, "paper", read_sheet)
    path = tmp_path / "sheet.toml"
    path.write_text('paper = "sheet"\nclock_hz = 1\n')
    return load_target(str(path))


def test_a_new_back_end_compiles_verifies_profiles_and_reports(sheet, tmp_path):
    graph, folder, said = residual_network(), tmp_path / "p", []
    compile_model(graph, sheet, folder, "net", model_sha256="", on_step=said.append)
    assert said == ["optimizing the graph", "writing it down"]
    assert operators_of(sheet) == {"add": "by hand"}
    found = verify(folder)
    assert (found["on"], found["bit_exact"]) == ("head", True)
    assert profile(folder)["latency_ms"] == 2.0
    assert sections(read_report(folder))[0].rows == [("time", "1.0 ms")]
    with pytest.raises(InputError, match="for sheet does not run on qemu; it runs on: head"):
        verify(folder, "qemu")
    (folder / "sheet.txt").write_text("")
    with pytest.raises(CheckError, match="was changed"):
        verify(folder)


def test_what_a_back_end_cannot_run_leaves_nothing_behind(sheet, tmp_path):
    graph = replace(residual_network(), name="novel")
    with pytest.raises(InputError, match="a novel does not fit the sheet"):
        compile_model(graph, sheet, tmp_path / "p", "net", model_sha256="")
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.toml"]


def test_the_command_line_needs_nothing_of_a_new_back_end(sheet, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from tinytailor.cli.main import app

    graph = residual_network()
    monkeypatch.setattr("tinytailor.compiler.load_model", lambda *_, **__: graph)
    (tmp_path / "m.onnx").write_bytes(b"")
    (tmp_path / "own.toml").write_text(sheet.definition)
    words = ["compile", tmp_path / "m.onnx", "-t", tmp_path / "own.toml", "-o", tmp_path / "p"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.stderr
    assert "1.0 ms" in done.stdout
    assert f"next: read {tmp_path / 'p'}" in done.stdout
    listed = CliRunner().invoke(app, ["targets", str(tmp_path / "own.toml")])
    assert "pencil" in listed.stdout
