# SPDX-License-Identifier: Apache-2.0
"""compile, verify and profile: one front end, one integer graph, two back ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.compiler.execute import execute
from tinytailor.compiler.ir import Graph, check
from tinytailor.compiler.kernels.registry import has_kernel
from tinytailor.compiler.ops import tabled
from tinytailor.compiler.passes import optimize, require_equal, write_stages
from tinytailor.compiler.project import (
    GRAPH,
    TARGET,
    check_name,
    new_project,
    read_manifest,
    write_manifest,
)
from tinytailor.compiler.serialize import load_graph, save_graph
from tinytailor.targets import RUNNERS, Board, Fpga, default_runner, load_target, serial_port
from tinytailor.targets.errors import InputError

Progress = Callable[[str], None]


def _silent(_: str) -> None:
    """The progress of a caller that does not show any."""


def load_model(
    path: Path | str,
    calibration: Mapping[str, np.ndarray] | np.ndarray | None = None,
    *,
    allow_float: bool = False,
) -> Graph:
    """The integer graph of a .onnx or .tflite file; a float one is quantized with ``calibration``.

    ``calibration``: real inputs, float (N, *shape without its leading 1), by input name or alone.
    ``allow_float``: operators without an integer form are computed in float, else refused.
    """
    from tinytailor.compiler.frontend import load_model as load

    return load(Path(path), calibration=calibration, allow_float=allow_float)


def compile_model(
    graph: Graph,
    target: Board | Fpga,
    out_dir: Path,
    name: str,
    *,
    model_sha256: str,
    dump: Path | None = None,
    on_step: Progress = _silent,
) -> dict[str, Any]:
    """Emit the project of ``graph`` for ``target`` into ``out_dir``; returns its manifest.

    The folder appears whole or not at all. Microcontroller code is that of the optimized graph, and
    is built, run on the emulator and compared with it before it is handed out. ``dump``: a folder
    for the graph after each pass, as text.
    """
    check(graph)
    check_name(name)
    on_step("optimizing the graph")
    # The engine of an FPGA runs fixed chains of layers; its back end wants them as they came.
    if isinstance(target, Board):
        optimized, report = optimize(graph)
    else:
        optimized, report = optimize(graph, pipeline=())
    require_equal(graph, optimized)
    if dump is not None:
        write_stages(report, dump)
    graph = optimized
    with new_project(out_dir) as folder:
        if isinstance(target, Board):
            from tinytailor.compiler.mcu import backend

            manifest = backend.emit(
                graph, target, folder, name, model_sha256=model_sha256, on_step=on_step
            )
        else:
            from tinytailor.compiler import fpga

            on_step("writing the HLS project")
            manifest = fpga.emit(graph, target, folder, name, model_sha256=model_sha256)
        manifest["passes"] = report.to_json()
        save_graph(graph, folder / GRAPH)
        (folder / TARGET).write_text(target.definition, "utf-8")
        write_manifest(folder, manifest)
    return manifest


def operators_of(target: Board | Fpga) -> dict[str, str]:
    """Kind of each operator that runs on ``target`` -> its limits there, "" for none."""
    if isinstance(target, Fpga):
        from tinytailor.compiler import fpga

        return dict(fpga.OPERATORS)
    return {kind: "" for kind in tabled() if has_kernel(kind)}


def load_project(folder: Path) -> tuple[dict[str, Any], Graph, Board | Fpga]:
    """Manifest, integer graph and target of a compiled project."""
    manifest = read_manifest(folder)
    return manifest, load_graph(folder / GRAPH), load_target(str(folder / TARGET))


def check_inputs(graph: Graph, inputs: Sequence[np.ndarray]) -> None:
    """InputError unless ``inputs`` are int8 batches of the graph inputs, in order."""
    if len(inputs) != len(graph.inputs):
        raise InputError(f"{graph.name} has {len(graph.inputs)} inputs, got {len(inputs)} arrays")
    for name, array in zip(graph.inputs, inputs, strict=True):
        shape = graph.tensors[name].shape
        if array.dtype != np.int8 or array.shape[1:] != shape[1:] or not len(array):
            raise InputError(
                f"input {name}: got {array.dtype} {array.shape}, expected int8 with shape "
                f"(N, {', '.join(map(str, shape[1:]))})"
            )


def verify(
    folder: Path, on: str | None = None, inputs: np.ndarray | Sequence[np.ndarray] | None = None
) -> dict[str, Any]:
    """Run the project as it lies in ``folder`` and compare with the integer graph, bit for bit.

    ``on``: host, emulator, qemu, serial:PORT, or csim; without, the emulator if it has the core,
    else qemu.
    ``inputs``: int8 batches (N, *shape[1:]), one per graph input; seeded random ones without.
    Returns bit_exact, samples, elements, differing_elements, and the arrays under ``outputs``.
    """
    manifest, graph, target = load_project(folder)
    batches = _batches(graph, inputs, count=8)
    expected = execute(graph, *batches)
    if isinstance(target, Board):
        from tinytailor.compiler.mcu import backend

        on = on or default_runner(target)
        outputs = backend.run_outputs(folder, graph, manifest["name"], target, on, batches)
    else:
        from tinytailor.compiler import fpga

        on = on or "csim"
        if on != "csim":
            raise InputError(f"an FPGA project is verified on csim, not on {on}")
        outputs = [fpga.run_csim(folder, batches[0])]
        if all(np.array_equal(a, b) for a, b in zip(outputs, expected, strict=True)):
            fpga.check_weights(folder)  # a changed weight of padding does not show in outputs
    differing = sum(int(np.count_nonzero(a != b)) for a, b in zip(outputs, expected, strict=True))
    return {
        "name": manifest["name"],
        "target": manifest["target"],
        "on": on,
        "samples": len(batches[0]),
        "elements": sum(array.size for array in expected),
        "differing_elements": differing,
        "bit_exact": differing == 0,
        "outputs": tuple(outputs),
    }


def _batches(
    graph: Graph, inputs: np.ndarray | Sequence[np.ndarray] | None, count: int
) -> list[np.ndarray]:
    from tinytailor.compiler.mcu.backend import random_inputs

    if inputs is None:
        return random_inputs(graph, count)
    batches = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
    check_inputs(graph, batches)
    return batches


def profile(
    folder: Path, on: str | None = None, inputs: np.ndarray | Sequence[np.ndarray] | None = None
) -> dict[str, Any]:
    """Build and run the project as it lies in ``folder``; the manifest with fresh measurements.

    ``on`` "serial:PORT": what the layers cost is emulated as without it, and under ``measured`` is
    what the whole network took on the board at that port.
    """
    manifest, graph, target = load_project(folder)
    if not isinstance(target, Board):
        raise InputError(f"{folder}: profiling needs a microcontroller project; see its manifest")
    port = serial_port(on)
    on = default_runner(target) if on is None or port is not None else on
    if on not in RUNNERS:
        known = ", ".join((*RUNNERS, "serial:PORT"))
        raise InputError(f"profile runs on one of {known}, not on {on!r}")
    from tinytailor.compiler.mcu import backend
    from tinytailor.compiler.mcu.on_board import measure_on_board
    from tinytailor.targets import cross_toolchain

    batches = [array[:1] for array in _batches(graph, inputs, count=1)]
    toolchain = cross_toolchain()
    codes = {layer["name"]: layer["code"] for layer in manifest["layers"]}
    name = manifest["name"]
    if port is not None:
        there = measure_on_board(folder, graph, name, target, toolchain, port, batches)
        manifest = {**manifest, "measured": there}
    measured = backend.measure(folder, graph, name, target, toolchain, batches, codes, on)
    return {**manifest, **measured}
