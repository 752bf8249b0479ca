# SPDX-License-Identifier: Apache-2.0
"""The C that is handed out: silent under strict compilers, nothing hidden in it, the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys

import pytest
from combined import side_by_side
from networks import residual_network

from tinytailor.compiler import load_model
from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.mcu.comments import comment_text
from tinytailor.compiler.mcu.program import lower_graph
from tinytailor.compiler.mcu.project import WARNINGS, write_sources
from tinytailor.compiler.testing.examples import every_example
from tinytailor.targets import cross_toolchain, load_target

# one process, so that the examples are lowered once
pytestmark = [pytest.mark.emulator, pytest.mark.tvm, pytest.mark.xdist_group("emitted")]

EXAMPLES = every_example()

M0, M4 = "nucleo-g0b1re", "nucleo-f446re"
NEWLIB = "/usr/lib/arm-none-eabi/include"
# -std=c99 and WARNINGS are what is promised; the others hold as well. A block of assembly may be
# longer than the 4,095 characters that every compiler must take.
FLAGS = ("-std=c99", *WARNINGS, "-Wsign-conversion", "-Wshadow", "-Wunused-macros")
FLAGS += ("-Wpedantic", "-Wno-overlength-strings")
HARD = "-mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard"
COMPILERS = {
    "gcc": "gcc -O2",
    "gcc_unoptimized": "gcc -O0",
    "clang": "clang -O2 -Wunreachable-code",
    "arm_gcc_m4": f"arm-none-eabi-gcc -O2 -mcpu=cortex-m4 {HARD}",
    "arm_gcc_m0plus": "arm-none-eabi-gcc -O2 -mcpu=cortex-m0plus -mthumb",
    "arm_clang_m4": f"clang -O2 --target=thumbv7em-none-eabihf -mcpu=cortex-m4 -isystem {NEWLIB}",
    "arm_clang_m0plus": f"clang -O2 --target=thumbv6m-none-eabi -isystem {NEWLIB}",
}
MODELS = {"kws": "kws_int8.tflite", "ic": "ic_resnet8_int8.tflite"}
ALLOWED_CALLS = {"memcpy", "memset", "memmove"}


def all_examples(isa: str) -> Graph:
    """Every example of the conformance kit, side by side in one network."""
    graphs = ((f"e{i}_{e.name}", e.graph(isa)) for i, e in enumerate(EXAMPLES))
    return side_by_side("examples", graphs)


def emitted(graph: Graph, board_name: str, folder, name: str):
    board = load_target(board_name)
    network = lower_graph(graph, board.core.isa, name)
    folder.mkdir()
    write_sources(network, board, cross_toolchain(), folder, model_sha256="")
    return folder


@pytest.fixture(scope="module")
def example_projects(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emitted")
    return {
        board: emitted(all_examples(load_target(board).core.isa), board, folder / board, "examples")
        for board in (M0, M4)
    }


def compile_strictly(project, compiler: str, out) -> list:
    """The objects of all C files of ``project``; what the compiler says fails the test."""
    command = COMPILERS[compiler].split()
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    objects = []
    for source in sorted(project.glob("*.c")):
        objects.append(out / f"{source.stem}.o")
        done = subprocess.run(
            [*command, *FLAGS, "-I", str(project), "-c", str(source), "-o", str(objects[-1])],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[:2000]
    return objects


@pytest.mark.parametrize("board", [M0, M4])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_strict_compilers_are_silent_about_every_operator(
    example_projects, board, compiler, tmp_path
):
    objects = compile_strictly(example_projects[board], compiler, tmp_path)
    assert {path.stem for path in objects} == {"examples", "main", "startup"}


@pytest.mark.parametrize("model", MODELS)
def test_strict_compilers_are_silent_about_reference_models(model, data_folder, tmp_path):
    graph = load_model(data_folder / "mlperf_tiny/models" / MODELS[model])
    project = emitted(graph, M4, tmp_path / model, model)
    for compiler in ("gcc", "clang", "arm_gcc_m4"):
        compile_strictly(project, compiler, tmp_path)


def test_the_code_calls_nothing_but_mem_functions_and_has_no_constructors(
    example_projects, tmp_path
):
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed")
    compile_strictly(example_projects[M4], "gcc", tmp_path)
    network = str(tmp_path / "examples.o")
    names = subprocess.run(["nm", "-u", network], capture_output=True, text=True, check=True)
    assert {line.split()[-1] for line in names.stdout.splitlines()} <= ALLOWED_CALLS
    sections = subprocess.run(["size", "-A", network], capture_output=True, text=True, check=True)
    assert not {".init_array", ".ctors", ".data"} & {
        line.split()[0] for line in sections.stdout.splitlines() if line.split()[1:2] > ["0"]
    }


_EMIT = """
import hashlib, pathlib, sys, tempfile
sys.path[:0] = sys.argv[1:2]
from test_emitted_c import M4, emitted
from tinytailor.compiler import load_model
folder = pathlib.Path(tempfile.mkdtemp()) / "net"
emitted(load_model(sys.argv[2]), M4, folder, "net")
for path in sorted(folder.iterdir()):
    print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
"""


def test_the_text_does_not_depend_on_the_process_or_its_hash_seed(
    data_folder, tmp_path, repository
):
    model = data_folder / "mlperf_tiny/models" / MODELS["kws"]
    here = emitted(load_model(model), M4, tmp_path / "net", "net")
    expected = [
        f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(here.iterdir())
    ]
    command = [sys.executable, "-c", _EMIT, str(repository / "tests/compiler"), str(model)]
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == expected, done.stderr[-1000:]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a/b:0", "a/b:0"),
        ("x*/ int y; /*", "x*? int y; /?"),
        ("/*/", "/?"),
        ("two\nlines\\", "two?lines"),
        ("Schlüssel??/", "Schl?ssel? /"),
    ],
)
def test_names_of_a_model_cannot_end_a_comment(name, text):
    assert comment_text(name) == text


def test_hostile_names_compile(tmp_path):
    plain = residual_network()
    wild = {t: f"{t}*/#error {i}\n/*??/\\" for i, t in enumerate(plain.tensors)}
    nodes = tuple(
        Node(wild[n.output], n.op, tuple(wild[t] for t in n.inputs), wild[n.output], n.constants)
        for n in plain.nodes
    )
    tensors = {
        wild[t]: type(x)(wild[t], x.shape, x.dtype, x.scale, x.zero_point)
        for t, x in plain.tensors.items()
    }
    graph = Graph(
        "wild",
        tuple(wild[t] for t in plain.inputs),
        tuple(wild[t] for t in plain.outputs),
        tensors,
        nodes,
    )
    compile_strictly(emitted(graph, M4, tmp_path / "net", "net"), "gcc", tmp_path)


def test_the_source_says_where_in_the_arena_what_lies(tmp_path):
    graph = residual_network()
    network = lower_graph(graph, "dsp", "net")
    project = emitted(graph, M4, tmp_path / "net", "net")
    text = (project / "net.c").read_text()
    rows = {line[3:].strip() for line in text.splitlines() if line.startswith(" *   ")}
    for buffer in network.plan.buffers:
        life = f"{buffer.first:02d}"
        life += f"-{buffer.last:02d}" if buffer.last > buffer.first else ""
        expected = [life, str(network.plan.offsets[buffer.name]), str(buffer.bytes), buffer.name]
        assert expected in [row.split() for row in rows]
