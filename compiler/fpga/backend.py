# SPDX-License-Identifier: Apache-2.0
"""The back end for FPGAs: graph -> layer program of the engine -> HLS project -> C simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tinytailor.compiler.fpga.csim import check_weights, run_csim
from tinytailor.compiler.fpga.limits import OPERATORS, check
from tinytailor.compiler.fpga.project import emit
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.passes import Pass
from tinytailor.compiler.project import Project
from tinytailor.compiler.real_values import Standardization, dequantized, quantized
from tinytailor.compiler.sections import Quantity, Section
from tinytailor.targets import Fpga
from tinytailor.targets.errors import InputError

CSIM = "csim"


class FpgaEngine:
    """A ``compiler.backend.Backend``."""

    kind: ClassVar[str] = "fpga"
    # The engine runs fixed chains of layers, and wants them as they came.
    pipeline: ClassVar[tuple[Pass, ...]] = ()
    steps: ClassVar[int] = 1
    runners: ClassVar[tuple[str, ...]] = (CSIM,)

    check = staticmethod(check)

    def operators(self) -> Mapping[str, str]:
        return OPERATORS

    def emit(
        self,
        graph: Graph,
        target: Fpga,
        folder: Path,
        name: str,
        *,
        model_sha256: str,
        on_step: Callable[[str], None],
    ) -> dict[str, Any]:
        on_step("writing the HLS project")
        return emit(graph, target, folder, name, model_sha256=model_sha256)

    def default_runner(self, target: Fpga) -> str:
        return CSIM

    def run(
        self, project: Project[Fpga], on: str, inputs: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        return [run_csim(project.folder, inputs[0])]

    def compute(
        self, project: Project[Fpga], inputs: Sequence[np.ndarray], built: Path, *, real: bool
    ) -> list[np.ndarray]:
        """Its C simulation knows integers only; real numbers are made of them here."""
        (border,), (x,) = project.manifest["inputs"], inputs
        if x.dtype != np.int8:
            x = quantized(x, Standardization.from_json(border), border["zero_point"])
        y, output = run_csim(project.folder, x), project.graph.tensors[project.graph.outputs[0]]
        return [dequantized(y, output.scale, output.zero_point) if real else y]

    def quantize(
        self, project: Project[Fpga], on: str, inputs: Sequence[np.ndarray | None]
    ) -> list[np.ndarray | None]:
        """Nothing: its driver is not written yet."""
        return [None for _ in inputs]

    def check_files(self, project: Project[Fpga]) -> None:
        """A weight of a padded channel meets zeros only, and does not show in outputs."""
        check_weights(project.folder)

    def profile(
        self, project: Project[Fpga], on: str | None, inputs: Sequence[np.ndarray]
    ) -> dict[str, Any]:
        raise InputError(
            f"{project.folder}: profiling needs a microcontroller project; see its manifest"
        )

    def next_commands(self, folder: Path) -> tuple[str, ...]:
        return (f"tinytailor verify {folder} --on {CSIM}",)

    def summary(self, manifest: Mapping[str, Any]) -> tuple[str, ...]:
        return ()

    def quantities(self, manifest: Mapping[str, Any]) -> tuple[Quantity, ...]:
        return (Quantity("latency (modelled)", "latency_ms", "{:.3f} ms"),)

    def details(self, manifest: Mapping[str, Any]) -> list[Section]:
        return []

    def sections(self, manifest: Mapping[str, Any]) -> list[Section]:
        plain = [(key, str(manifest[key])) for key in manifest if _is_plain(manifest[key])]
        return [Section(f"{manifest['name']} for {manifest['target']}", ("", ""), plain)]


def _is_plain(value: Any) -> bool:
    return not isinstance(value, list | dict)
