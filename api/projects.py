# SPDX-License-Identifier: Apache-2.0
"""A compiled project as an object: run it on this machine, verify it, profile it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.api.arrays import Given, Rows, as_rows, given_inputs, leaving, name_of
from tinytailor.api.records import Profile, Verification
from tinytailor.api.scratch import Scratch
from tinytailor.cli.batches import Border, answers_of, squeezed
from tinytailor.cli.energy import parse_usage
from tinytailor.cli.profile import profile_project
from tinytailor.cli.verify import verify_project
from tinytailor.cli.watch import SILENT
from tinytailor.compiler.backend import backend_for
from tinytailor.compiler.project import Project as Compiled
from tinytailor.compiler.project import load_project
from tinytailor.targets import Target
from tinytailor.targets.errors import Doubt, InputError


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output. ``name``, ``shape`` and ``dtype`` are those of the source model;
    ``scale`` and ``zero_point`` of the int8 numbers on the device, real = scale * (q - zero_point)
    but for inputs that are standardised too, see the header of the project."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True, eq=False, repr=False)
class Project:
    """A compiled project, which `compile` and `load` return.

    Numbers go in and come out as the source model has them: an input (1, *shape) takes one sample,
    ``shape``, or a batch, (N, *shape); axes of length 1 may be missing, and what comes out has an
    axis for the batch if what went in had one. The inputs of a search lie as its data did, (N, T,
    C) or (N, H, W, C). Several inputs are a dict by their names, or a sequence in their order.

    float arrays are real numbers, which the project's own emitted code standardises and quantizes.
    int8 arrays (and uint8, if the model's input is) are taken as the integers of the device, and
    int16 arrays where the input is int16, as the samples of a sensor are. Other integers are real
    numbers for what a search found, and else refused: write ``x.astype(np.float32)`` for counts,
    and for pixels that training took as numbers.
    """

    compiled: Compiled[Target]
    kept: Scratch | None = None  # the temporary folder that it lies in

    def __repr__(self) -> str:
        return f"Project({self.name!r} for {self.target}, {str(self.folder)!r})"

    def __str__(self) -> str:
        """What `tinytailor compile` says of it: sizes, modelled time."""
        summary = backend_for(self.compiled.target.kind).summary(self.manifest)
        return "\n".join((f"{self.name} for {self.target}", *summary))

    @property
    def folder(self) -> Path:
        """Where it lies, absolute."""
        return self.compiled.folder

    @property
    def name(self) -> str:
        """The prefix of its C functions."""
        return self.compiled.name

    @property
    def target(self) -> str:
        return self.compiled.target.name

    @property
    def manifest(self) -> dict[str, Any]:
        """manifest.json as it was read: all that is known of the project."""
        return self.compiled.manifest

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the project, sorted."""
        return tuple(sorted(path for path in self.folder.rglob("*") if path.is_file()))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of the outputs; () for a model that names none."""
        return tuple(self.manifest.get("classes", ()))

    @property
    def inputs(self) -> tuple[Port, ...]:
        return tuple(_port(border) for border in self.manifest["inputs"])

    @property
    def outputs(self) -> tuple[Port, ...]:
        return tuple(_port(border) for border in self.manifest["outputs"])

    @property
    def latency_ms(self) -> float | None:
        """Modelled time of one inference; None where the core has no cycle model."""
        latency = self.manifest["latency_ms"]
        return None if latency is None else float(latency)

    @property
    def arena_bytes(self) -> int:
        return self._bytes("arena_bytes")

    @property
    def ram_bytes(self) -> int:
        """Arena, input and output buffers, other static data, worst-case stack."""
        return self._bytes("ram_bytes")

    @property
    def flash_bytes(self) -> int:
        """Code and constants of the whole linked image."""
        return self._bytes("flash_bytes")

    def run(self, x: Given, *, raw: bool = False) -> np.ndarray:
        """The output of the emitted C, compiled for this machine and run on ``x``.

        Real numbers, float32, in the layout of the source model; with ``raw`` the integers of the
        device, int8, in the same layout. Indices, as an ArgMax gives them, are integers always.
        InputError for what does not fit, and for a project with several outputs, see `run_all`.
        """
        found = self.run_all(x, raw=raw)
        if len(found) > 1:
            raise InputError(
                f"{self.name} has {len(found)} outputs, {', '.join(found)}: run_all returns them"
            )
        return next(iter(found.values()))

    def run_all(self, x: Given, *, raw: bool = False) -> dict[str, np.ndarray]:
        """The same for any number of outputs, by their names in the model."""
        rows = as_rows(x, self.manifest, "run")
        return leaving(self._computed(rows, real=not raw), self.manifest["outputs"], rows.single)

    def classify(self, x: Given) -> Any:
        """The class of ``x``: its name, or its index (int) where the model names none; of a batch
        an array of them, (N,) str or int64. It is the place of the largest output, the first of
        equal ones. InputError if the only output is not a number for each class."""
        (border,) = self.manifest["outputs"][:1]
        several = len(self.manifest["outputs"]) > 1
        axes = 1 if border["dtype"] == "int8" else 0  # what is wider is an index
        if several or len(squeezed(border["shape"])) != axes:
            what = "several outputs" if several else f"an output of shape {_shape(border)}"
            raise InputError(f"{self.name} has {what}, expected one with a number for each class")
        rows = as_rows(x, self.manifest, "classify")
        (outputs,) = self._computed(rows, real=False)
        answers = answers_of(outputs).astype(np.int64)
        found = np.array(self.classes)[answers] if self.classes else answers
        return found[0].item() if rows.single else found

    def verify(
        self,
        on: str | None = None,
        inputs: Given = None,
        *,
        input_name: str | None = None,
        expect: str | None = None,
        part: str | None = None,
    ) -> Verification:
        """Run the project as it lies in its folder and compare with the integer graph of its model,
        bit for bit; options are those of `tinytailor verify`.

        ``on``: host, emulator, qemu, serial:PORT or csim; by default what has the core. ``inputs``:
        the path of an .npz file, a dict of the arrays that it would hold (x, and y for an
        accuracy), or inputs alone as `run` takes them; else random ones. Warns (Doubt) of inputs
        that look wrong.
        """
        given = given_inputs(
            inputs, self.manifest, "verify", name=input_name, expect=expect, part=part
        )
        for sentence in () if given is None else given.doubts:
            warnings.warn(sentence, Doubt, stacklevel=2)
        return Verification.of(verify_project(self.folder, on, given, SILENT))

    def profile(
        self,
        on: str | None = None,
        inputs: Given = None,
        *,
        supply: str | None = None,
        period: str | None = None,
        battery: str | None = None,
        idle: str | None = None,
    ) -> Profile:
        """What one inference costs, layer by layer; options are those of `tinytailor profile`.

        ``inputs`` as for `verify`; the first is run. ``period="1s"``, ``battery="220mAh@3V"``: what
        that use makes of the energy.
        """
        usage = parse_usage(self.compiled.target, supply, period, battery, idle)
        given = given_inputs(inputs, self.manifest, "profile")
        return Profile.of(profile_project(self.compiled, on, given, usage))

    def _computed(self, rows: Rows, *, real: bool) -> Sequence[np.ndarray]:
        backend = backend_for(self.compiled.target.kind)
        return backend.compute(self.compiled, rows.batches, self._built.folder, real=real)

    @cached_property
    def _built(self) -> Scratch:
        """Where programs of this machine are kept."""
        return Scratch()

    def _bytes(self, key: str) -> int:
        if key not in self.manifest:
            raise InputError(f"{self.name} is for {self.target}, which knows no {key}")
        return int(self.manifest[key])


def load(folder: Path | str) -> Project:
    """The project that `compile`, `search` or the commands wrote into ``folder``; InputError if
    there is none."""
    return Project(load_project(Path(folder).absolute()))


def _port(border: Border) -> Port:
    model: Mapping[str, Any] = border.get("model", border)
    return Port(
        name_of(border),
        tuple(model["shape"]),
        model["dtype"],
        border["scale"],
        border["zero_point"],
    )


def _shape(border: Border) -> str:
    return str(tuple(border.get("model", border)["shape"]))
