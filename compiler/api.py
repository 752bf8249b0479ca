# SPDX-License-Identifier: Apache-2.0
"""compile, verify and profile: one front end, one integer graph, a back end for each kind of
target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.compiler.backend import backend_for, check_runner
from tinytailor.compiler.execute import check_inputs, execute, random_inputs
from tinytailor.compiler.ir import Graph, check
from tinytailor.compiler.passes import optimize, require_equal, write_stages
from tinytailor.compiler.project import check_name, load_project, new_project, save_project
from tinytailor.targets import Target

Progress = Callable[[str], None]
VERIFIED_INPUTS = 8  # random ones, where none are given


def _silent(_: str) -> None:
    """The progress of a caller that does not show any."""


def compile_model(
    graph: Graph,
    target: Target,
    out_dir: Path,
    name: str,
    *,
    model_sha256: str,
    dump: Path | None = None,
    on_step: Progress = _silent,
) -> dict[str, Any]:
    """Emit the project of ``graph`` for ``target`` into ``out_dir``; returns its manifest.

    The folder appears whole or not at all. What is emitted is the optimized graph. Code for a
    microcontroller is built, run and compared with it before it is handed out. ``dump``: a folder
    for the graph after each pass, as text.
    """
    check(graph)
    check_name(name)
    backend = backend_for(target.kind)
    on_step("optimizing the graph")
    optimized, report = optimize(graph, pipeline=backend.pipeline)
    require_equal(graph, optimized)
    if dump is not None:
        write_stages(report, dump)
    backend.check(optimized, target)
    with new_project(out_dir) as folder:
        manifest = backend.emit(
            optimized, target, folder, name, model_sha256=model_sha256, on_step=on_step
        )
        manifest["passes"] = report.to_json()
        save_project(folder, manifest, optimized, target)
    return manifest


def operators_of(target: Target) -> dict[str, str]:
    """Kind of each operator that runs on ``target`` -> its limits there, "" for none."""
    return dict(backend_for(target.kind).operators())


def verify(
    folder: Path,
    on: str | None = None,
    inputs: np.ndarray | Sequence[np.ndarray] | None = None,
    reals: Sequence[np.ndarray | None] = (),
) -> dict[str, Any]:
    """Run the project as it lies in ``folder`` and compare with the integer graph, bit for bit.

    ``on``: a runner of the back end, as host, emulator, qemu, serial:PORT, or csim; without, the
    first that has the target.
    ``inputs``: integer batches (N, *shape[1:]), one per graph input; seeded random ones without.
    ``reals``: the real numbers that ``inputs`` were made from, for each or None: the project's own
    quantization of them is compared too, and what differs is ``differing_inputs``.
    Returns bit_exact, samples, elements, differing_elements, and the arrays under ``outputs``.
    """
    project = load_project(folder)
    backend = backend_for(project.target.kind)
    batches = _batches(project.graph, inputs, VERIFIED_INPUTS)
    on = on or backend.default_runner(project.target)
    check_runner(project, on)
    expected = execute(project.graph, *batches)
    outputs = backend.run(project, on, batches)
    differing = sum(int(np.count_nonzero(a != b)) for a, b in zip(outputs, expected, strict=True))
    otherwise = 0
    if any(rows is not None for rows in reals):
        made = backend.quantize(project, on, reals)
        otherwise = sum(
            int(np.count_nonzero(a != b))
            for a, b in zip(made, batches, strict=True)
            if a is not None
        )
    if not differing:
        backend.check_files(project)
    return {
        "name": project.name,
        "target": project.manifest["target"],
        "on": on,
        "samples": len(batches[0]),
        "elements": sum(array.size for array in expected),
        "differing_elements": differing,
        "differing_inputs": otherwise,
        "bit_exact": differing == 0 and otherwise == 0,
        "outputs": tuple(outputs),
    }


def profile(
    folder: Path, on: str | None = None, inputs: np.ndarray | Sequence[np.ndarray] | None = None
) -> dict[str, Any]:
    """Build and run the project as it lies in ``folder``; the manifest with fresh measurements.

    ``on`` "serial:PORT": what the layers cost is emulated as without it, and under ``measured`` is
    what the whole network took on the board at that port.
    """
    project = load_project(folder)
    backend = backend_for(project.target.kind)
    batches = [array[:1] for array in _batches(project.graph, inputs, count=1)]
    return {**project.manifest, **backend.profile(project, on, batches)}


def _batches(
    graph: Graph, inputs: np.ndarray | Sequence[np.ndarray] | None, count: int
) -> list[np.ndarray]:
    """``inputs``, checked, or ``count`` random ones."""
    if inputs is None:
        return random_inputs(graph, count)
    batches = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
    check_inputs(graph, batches)
    return batches
