# SPDX-License-Identifier: Apache-2.0
"""The rules that hold the project together: what is packaged, who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.pure]

ROOT = Path(__file__).resolve().parent.parent.parent
# Imports point to the left only; the file of the root package comes behind all.
LAYERS = ("targets", "compiler", "latency_tables", "nas", "cli", "api")

# Who alone may import what; a path is a file or a folder.
OWNERS = {
    "tvm": "compiler",
    "torch": "nas",
    "unicorn": "targets/emulator/worker.py",
}
SOURCES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
SOURCES.append(ROOT / "__init__.py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import in a file, wherever it stands; relative ones as "."."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "."
            elif node.module == "tinytailor":
                yield from ((node.lineno, f"tinytailor.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or "."


def rank(part: str) -> int:
    """How far to the right a part of the package is; its own names, as of `compile`, are last."""
    return LAYERS.index(part) if part in LAYERS else len(LAYERS)


def forbidden(path: Path) -> list[str]:
    """What is wrong with the imports of one source file."""
    relative = path.relative_to(ROOT)
    problems = []
    for line, module in imports(path):
        parts = module.split(".")
        if module == ".":
            problems.append(f"{relative}:{line}: relative import")
        elif parts[0] in LAYERS:
            problems.append(f"{relative}:{line}: bare import of {module}")
        elif parts[0] == "tinytailor" and rank((*parts, "")[1]) > rank(relative.parts[0]):
            problems.append(f"{relative}:{line}: {relative.parts[0]} imports {module}")
        elif parts[0] in OWNERS and not relative.is_relative_to(OWNERS[parts[0]]):
            problems.append(f"{relative}:{line}: only {OWNERS[parts[0]]} imports {parts[0]}")
    return problems


def test_imports_are_absolute_point_downward_and_keep_heavy_libraries_in_their_place():
    assert [problem for path in SOURCES for problem in forbidden(path)] == []


def test_modules_beside_the_tests_have_names_of_their_own():
    """They are found by name in one process, from all folders of tests and from benchmarks."""
    paths = [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    names = [path.name for path in paths if path.name != "conftest.py"]
    assert sorted({name for name in names if names.count(name) > 1}) == []


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("targets/x.py", "import tinytailor.compiler.ir"),
        ("compiler/x.py", "from tinytailor import nas"),
        ("api/x.py", "from tinytailor import compile"),
        ("api/x.py", "import tinytailor"),
        ("nas/x.py", "from compiler import ir"),
        ("nas/x.py", "from . import ir"),
        ("cli/x.py", "def f():\n    import torch"),
        ("targets/emulator/x.py", "import unicorn.arm_const"),
    ],
)
def test_the_import_rules_see_each_kind_of_breach(tmp_path, monkeypatch, place, line):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert len(forbidden(path)) == 1


def test_the_packages_that_are_built_are_the_packages_on_disk(tmp_path):
    """A forgotten one works in editable mode and is missing from the wheel. setup.py, which lies
    among them, is none, also where it runs under the name of an installer."""
    built = tmp_path / "built"
    command = ["-c", "exec(open('setup.py').read())", "--quiet", "build"]
    command += ["--build-base", str(tmp_path / "work"), "--build-lib", str(built)]
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True)
    packaged = {str(path.relative_to(built / "tinytailor")) for path in built.rglob("*.py")}
    assert packaged == {str(path.relative_to(ROOT)) for path in SOURCES}
    assert (built / "tinytailor" / "py.typed").exists(), "types of the package are for its users"


def test_every_folder_with_sources_is_a_package():
    assert [path for path in SOURCES if not (path.parent / "__init__.py").exists()] == []


def test_every_data_file_beside_the_sources_is_packaged():
    """A board or a template that pyproject does not list is missing from the wheel."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packaged = {
        path
        for package, patterns in declared["package-data"].items()
        for pattern in patterns
        for path in (ROOT / Path(*package.split(".")[1:])).glob(pattern)
    }
    on_disk = {
        path
        for layer in LAYERS
        for path in (ROOT / layer).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and path.name != "py.typed"
    }
    assert on_disk - packaged == set()


def test_every_source_file_names_its_licence_first():
    files = [*SOURCES, *(ROOT / "tests").rglob("*.py"), ROOT / "Makefile", ROOT / ".ci" / "run"]
    without = [
        path.relative_to(ROOT)
        for path in files
        if "SPDX-License-Identifier: Apache-2.0" not in path.read_text()[:200]
    ]
    assert without == []


def loaded_by(code: str) -> set[str]:
    """Top-level modules that are loaded after ``code`` has run in a fresh interpreter."""
    script = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(result.stdout.splitlines()[-1].split())


HELP = """
from tinytailor.cli.main import app
try:
    app(["--help"])
except SystemExit as end:
    assert end.code == 0
"""


def test_help_loads_no_heavy_library():
    heavy = {"torch", "tvm", "unicorn", "numpy", "onnx", "onnxruntime", "optuna", "aeon"}
    assert loaded_by(HELP) & heavy == set()


def test_targets_tables_and_scores_load_neither_torch_nor_tvm():
    modules = loaded_by(
        "import tinytailor.targets, tinytailor.latency_tables, tinytailor.nas.scores"
    )
    assert modules & {"torch", "tvm", "unicorn"} == set()


def test_the_root_package_loads_nothing_and_projects_neither_torch_nor_tvm():
    names = "tt.InputError, tt.Progress, tt.__version__, dir(tt)"
    heavy = {"torch", "tvm", "unicorn", "numpy", "onnx", "optuna", "typer", "rich"}
    assert loaded_by(f"import tinytailor as tt\n{names}") & heavy == set()
    heavy -= {"numpy", "typer", "rich"}
    assert loaded_by("import tinytailor as tt\ntt.load, tt.Project, tt.compile") & heavy == set()


KERNELS = """
from tinytailor.compiler.kernels.registry import has_kernel
from tinytailor.compiler.ops import OPERATORS
assert all(has_kernel(kind) for kind in OPERATORS)
"""


def test_operators_and_the_question_for_their_kernels_load_no_tvm():
    assert loaded_by(KERNELS) & {"torch", "tvm"} == set()
