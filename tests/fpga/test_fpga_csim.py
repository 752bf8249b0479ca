# SPDX-License-Identifier: Apache-2.0
"""Whole networks: C simulation of the emitted project against the compiler's integer reference."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from chain import build_chain, build_graph
from fpga_projects import write_project

import tinytailor as tt
from tinytailor.compiler import compile_model, verify
from tinytailor.compiler.execute import execute
from tinytailor.compiler.fpga import interpret, run_csim, verify_csim
from tinytailor.compiler.fpga.model import iterations
from tinytailor.compiler.fpga.program import pack, plan_steps
from tinytailor.compiler.ir import Graph
from tinytailor.targets.errors import CheckError, InputError, ToolError
from tinytailor.targets.fpga import Fpga

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

NETWORKS = {
    "odd sizes, channels that are no multiple of 16": ("p5 d p19 d r33", 13, 7, 3),
    "one pixel": ("p16 d p3", 1, 1, 2),
    "one row": ("d p17 d", 1, 40, 20),
    "one column, one block: the tightest line buffer": ("p9 d d", 40, 1, 4),
    "starts and ends deformable, two in a row": ("d d", 18, 10, 16),
    "pointwise only, several input blocks": ("p64 r40 p7", 5, 6, 50),
    "fewer rows than the line buffer's lead": ("p32 d p32", 6, 25, 3),
}
COUNTERS = ("load", "read", "pointwise", "offset", "deform", "write")


def run_make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run_engine(engine: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(engine), str(folder)], capture_output=True, text=True, check=False)


def counted(stdout: str) -> dict[str, int]:
    """The "iterations:" line of the test bench."""
    words = next(line for line in stdout.splitlines() if line.startswith("iterations:")).split()[1:]
    return {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}


def test_the_acceptance_chain_is_bit_exact_with_all_dilations_present(
    emitted: Path, acceptance_graph: Graph, engine: Path
) -> None:
    done = run_engine(engine, emitted)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("PASS: 0 of ")
    layers = json.loads((emitted / "manifest.json").read_text())["layers"]
    histograms = [layer["golden_dilations"] for layer in layers if "golden_dilations" in layer]
    assert len(histograms) == 2
    assert all(min(histogram) > 0 for histogram in histograms)
    images = build_chain().images(3, seed=11)
    report = verify_csim(emitted, images, execute(acceptance_graph, images)[0])
    assert report.bit_exact
    assert report.values == 3 * 32 * 32 * 32


@pytest.mark.parametrize(
    ("layers", "height", "width", "in_channels"), NETWORKS.values(), ids=NETWORKS.keys()
)
@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "a step per layer"])
def test_one_engine_binary_runs_every_program(
    layers: str,
    height: int,
    width: int,
    in_channels: int,
    fuse: bool,
    engine: Path,
    board: Fpga,
    tmp_path: Path,
) -> None:
    chain = build_chain(layers, height=height, width=width, in_channels=in_channels, seed=height)
    graph = build_graph(chain)
    manifest = write_project(graph, board, tmp_path / "p", fuse=fuse)
    done = run_engine(engine, tmp_path / "p")
    assert done.returncode == 0, done.stdout + done.stderr
    modelled = [iterations(step) for step in plan_steps(graph, fuse=fuse)]
    runs = manifest["golden"]["images"]
    assert counted(done.stdout) == {
        name: runs * sum(step[name] for step in modelled) for name in COUNTERS
    }


@pytest.mark.parametrize("dilation", range(8))
def test_every_fixed_dilation_is_exact(
    dilation: int, engine: Path, board: Fpga, tmp_path: Path
) -> None:
    chain = build_chain("p16 d", height=20, width=18, dilation=dilation, seed=dilation)
    manifest = write_project(build_graph(chain), board, tmp_path / "p")
    histogram = manifest["layers"][0]["golden_dilations"]
    assert histogram[dilation] == sum(histogram) > 0
    done = run_engine(engine, tmp_path / "p")
    assert done.returncode == 0, done.stdout


def first_weight_of(graph: Graph, section: str) -> int:
    """Byte offset in weights.bin of the first weight of a section of the first step."""
    step = pack(graph).steps[0]
    pointwise = 16 * step.in_blocks * step.out_blocks + 16 * step.out_blocks
    words = {"pointwise": 0, "offset": pointwise, "deform": pointwise + step.out_blocks + 1}
    return 8 * words[section]


@pytest.mark.parametrize("section", ["pointwise", "offset", "deform"])
def test_a_flipped_weight_makes_the_simulation_fail_and_names_the_place(
    section: str, emitted: Path, acceptance_graph: Graph, engine: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(emitted, tmp_path / "p")
    path = folder / "hls" / "weights" / "weights.bin"
    data = bytearray(path.read_bytes())
    data[first_weight_of(acceptance_graph, section)] ^= 0x04
    path.write_bytes(data)
    done = run_engine(engine, folder)
    assert done.returncode == 1
    assert "image 0 step 0 row" in done.stdout
    assert "FAIL" in done.stdout


def test_make_csim_passes_as_emitted_and_fails_on_a_flipped_weight(
    emitted: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(emitted, tmp_path / "p")
    good = run_make(folder, "csim")
    assert good.returncode == 0, good.stderr
    assert run_make(folder, "check-files").returncode == 0
    path = folder / "hls" / "weights" / "weights.bin"
    data = bytearray(path.read_bytes())
    data[0] ^= 0x04
    path.write_bytes(data)
    assert run_make(folder, "csim").returncode != 0
    assert run_make(folder, "check-files").returncode != 0
    assert not verify_csim(folder).bit_exact
    with pytest.raises(CheckError, match=r"weights\.bin differs from its digest"):
        verify_csim(folder, build_chain().images(1, seed=0))


def test_a_changed_weight_of_padding_is_reported_too(
    acceptance_graph: Graph, board: Fpga, tmp_path: Path
) -> None:
    """Lanes 3..15 of the first layer are padding: their weights meet zeros."""
    compile_model(acceptance_graph, board, tmp_path / "project", "chain", model_sha256="0" * 64)
    path = tmp_path / "project" / "hls" / "weights" / "weights.bin"
    data = bytearray(path.read_bytes())
    data[first_weight_of(acceptance_graph, "pointwise") + 4] ^= 0x30
    path.write_bytes(data)
    done = subprocess.run(["make", "-C", str(tmp_path / "project"), "csim"], capture_output=True)
    assert done.returncode != 0
    with pytest.raises(CheckError, match=r"weights\.bin differs from its digest"):
        verify(tmp_path / "project", "csim")


def test_the_compiler_interface_verifies_on_csim_and_sees_a_flipped_weight(
    acceptance_graph: Graph, board: Fpga, tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    compile_model(acceptance_graph, board, folder, "chain", model_sha256="")
    assert verify(folder, "csim")["bit_exact"]
    path = folder / "hls" / "weights" / "weights.bin"
    data = bytearray(path.read_bytes())
    data[0] ^= 0x04
    path.write_bytes(data)
    result = verify(folder, "csim")
    assert not result["bit_exact"]
    assert result["differing_elements"] > 0


def test_real_numbers_are_quantized_run_and_made_real_again(
    emitted: Path, acceptance_graph: Graph
) -> None:
    images = build_chain().images(2, seed=4)
    entering, leaving = (
        acceptance_graph.tensors[names[0]]
        for names in (acceptance_graph.inputs, acceptance_graph.outputs)
    )
    project = tt.load(emitted)
    expected = execute(acceptance_graph, images)[0]
    real = (images.astype(np.float32) - entering.zero_point) * np.float32(entering.scale)
    found = project.run(real)
    steps = found / np.float32(leaving.scale) + leaving.zero_point
    np.testing.assert_array_equal(np.rint(steps).astype(np.int8), expected)
    with pytest.raises(InputError, match="chain is for ultra96-v2, which knows no arena_bytes"):
        project.arena_bytes  # noqa: B018


def test_wrong_expectations_are_counted_and_the_first_is_located(
    emitted: Path, acceptance_graph: Graph
) -> None:
    images = build_chain().images(2, seed=4)
    expected = execute(acceptance_graph, images)[0].copy()
    expected[1, 2, 3, 4] ^= 1
    report = verify_csim(emitted, images, expected)
    assert report.mismatches == 1
    assert report.first.startswith("image 1 row 2 column 3 channel 4:")


def test_the_sanitizers_find_nothing(board: Fpga, tmp_path: Path) -> None:
    chain = build_chain("p19 d r33 d", height=11, width=9, seed=6)
    graph = build_graph(chain)
    write_project(graph, board, tmp_path / "p")
    images = chain.images(2, seed=1)
    outputs = run_csim(tmp_path / "p", images, sanitize=True)
    np.testing.assert_array_equal(outputs, execute(graph, images)[0])
    np.testing.assert_array_equal(interpret(tmp_path / "p", images), outputs)


def test_a_torn_program_stops_the_simulation_with_a_sentence(
    emitted: Path, engine: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(emitted, tmp_path / "p")
    program = folder / "hls" / "weights" / "program.bin"
    program.write_bytes(program.read_bytes()[:-4])
    done = run_engine(engine, folder)
    assert done.returncode == 2
    assert "torn" in done.stderr


def test_a_missing_compiler_is_a_tool_error(emitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolError, match="not on PATH"):
        verify_csim(emitted)


def test_inputs_of_a_wrong_shape_are_refused(emitted: Path) -> None:
    with pytest.raises(InputError, match=r"expected int8 of shape \(N, 32, 32, 3\)"):
        run_csim(emitted, np.zeros((1, 32, 32, 4), np.int8))


def test_a_folder_that_is_no_fpga_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.json cannot be read"):
        verify_csim(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match="is not the manifest of an FPGA project"):
        verify_csim(tmp_path)


def ap_include() -> Path:
    """The folder of ap_int.h: TINYTAILOR_AP_INCLUDE, or the one inside an installed hls4ml."""
    folder = os.environ.get("TINYTAILOR_AP_INCLUDE")
    if folder is None:
        found = importlib.util.find_spec("hls4ml")
        if found is not None and found.origin is not None:
            folder = str(Path(found.origin).parent / "templates" / "vivado" / "ap_types")
    if folder is None or not Path(folder, "ap_int.h").is_file():
        pytest.skip(
            "ap_int.h not found, exact bit widths are not checked: set TINYTAILOR_AP_INCLUDE "
            "or pip install --no-deps hls4ml"
        )
    return Path(folder)


def test_exact_bit_widths_give_the_same_integers(emitted: Path, tmp_path: Path) -> None:
    done = run_make(emitted, "csim-ap", f"AP_INCLUDE={ap_include()}", f"BUILD={tmp_path}")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "PASS: 0 of " in done.stdout
