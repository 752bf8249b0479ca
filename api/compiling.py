# SPDX-License-Identifier: Apache-2.0
"""compile and profile: from whatever a model is given as to a project, and what that costs.

path of .onnx, .tflite     as it is
onnx.ModelProto, bytes     written to a file first
torch.nn.Module            exported and quantized (nas.from_torch)
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np

from tinytailor.api.arrays import Given, as_array
from tinytailor.api.projects import Project, load
from tinytailor.api.records import Profile
from tinytailor.api.scratch import Scratch
from tinytailor.cli.compile import compile_file
from tinytailor.cli.watch import SILENT
from tinytailor.compiler.project import check_name, check_output, load_project
from tinytailor.nas.data.npz import read_npz
from tinytailor.targets import Target, load_target
from tinytailor.targets.errors import InputError

if TYPE_CHECKING:
    import onnx

    from tinytailor.nas.from_torch import Module

    Model: TypeAlias = str | Path | bytes | onnx.ModelProto | Module

TFLITE = b"TFL3"  # from byte 4 on


def compile(
    model: Model,
    target: str | Path | Target,
    *,
    out: Path | str | None = None,
    name: str = "model",
    calibration: Given = None,
    allow_float: bool = False,
) -> Project:
    """Compile a model into a project of plain C (or HLS C++) for a target, and check it.

    ``model``: the path of an .onnx or .tflite file, its bytes, an onnx.ModelProto, or a
    torch.nn.Module with one input. ``target``: a name that `tinytailor targets` lists, the path of
    a .toml file, or what ``load_target`` returns. ``out``: the folder of the project; without, a
    temporary one that is removed when nothing holds the Project any more. ``name``: the prefix of
    the C functions.

    ``calibration``: real inputs (N, *shape of one), some dozens to hundreds, in the layout of the
    model: an array, a dict by the names of the inputs, or the path of an .npz file. A float model
    needs it, a torch module always does. ``allow_float``: compute operators that have no integer
    form in float32.

    InputError for what cannot be compiled, with all that is in the way; BudgetError where the
    target is too small; warns (Doubt) of samples that look wrong.
    """
    board, kept = _target(target), Scratch()
    folder = kept.folder / check_name(name) if out is None else Path(out)
    check_output(folder)
    written = Scratch()
    path, samples = _model_file(model, written.folder / check_name(name), _samples(calibration))
    compile_file(path, board, folder, name, samples, allow_float=allow_float, watch=SILENT)
    return Project(load_project(folder.absolute()), kept if out is None else None)


def profile(
    what: Project | Model,
    target: str | Path | Target | None = None,
    *,
    on: str | None = None,
    inputs: Given = None,
    calibration: Given = None,
    allow_float: bool = False,
    supply: str | None = None,
    period: str | None = None,
    battery: str | None = None,
    idle: str | None = None,
) -> Profile:
    """What one inference costs: of a Project or of the folder of one, or of a model, which is
    compiled for ``target`` and not kept.

    ``calibration`` and ``allow_float`` are those of `compile`, all others of `Project.profile`.
    """
    if isinstance(what, str | Path) and Path(what).is_dir():
        what = load(what)
    if isinstance(what, Project):
        if target is not None or calibration is not None:
            raise InputError(
                f"{what.name} is compiled for {what.target} already; leave target and calibration "
                "out, or give its model"
            )
        project = what
    elif target is None:
        raise InputError("the profile of a model needs a target: profile(model, target)")
    else:
        project = compile(what, target, calibration=calibration, allow_float=allow_float)
    return project.profile(on, inputs, supply=supply, period=period, battery=battery, idle=idle)


def _target(target: str | Path | Target) -> Target:
    """InputError for a board that was changed after its file was read: a project keeps the file."""
    if isinstance(target, str | Path):
        return load_target(str(target))
    definition = getattr(target, "definition", None)
    if not isinstance(definition, str):
        raise InputError(
            f"target is {type(target).__name__}, expected a name, the path of a .toml file, or a "
            "board that load_target returned"
        )
    written = Scratch()
    path = written.folder / "target.toml"
    path.write_text(definition, "utf-8")
    if load_target(str(path)) != target:
        raise InputError(
            f"board {target.name} is not what its file says; write a .toml file and pass its path"
        )
    return target


def _samples(calibration: Given) -> dict[str, np.ndarray] | np.ndarray | None:
    if calibration is None:
        return None
    if isinstance(calibration, str | Path):
        return read_npz(Path(calibration))
    if isinstance(calibration, Mapping):
        return {str(n): as_array(x, f"calibration: array {n}") for n, x in calibration.items()}
    return as_array(calibration, "calibration")


def _model_file(
    model: Model, stem: Path, samples: dict[str, np.ndarray] | np.ndarray | None
) -> tuple[Path, dict[str, np.ndarray] | np.ndarray | None]:
    """The file of a model, and the samples that it is still to be quantized with."""
    if isinstance(model, str | Path):
        return Path(model), samples
    if _is_module(model):
        from tinytailor.nas.from_torch import from_torch

        data, samples = from_torch(model, _only(samples)), None
    elif isinstance(model, bytes):
        data = model
    elif callable(serialize := getattr(model, "SerializeToString", None)):
        data = serialize()
    else:
        raise InputError(
            f"model is {type(model).__name__}, expected the path of an .onnx or .tflite file, its "
            "bytes, an onnx.ModelProto or a torch.nn.Module"
        )
    path = stem.with_suffix(".tflite" if data[4:8] == TFLITE else ".onnx")
    path.write_bytes(data)
    return path, samples


def _is_module(model: Any) -> TypeGuard[Module]:
    """Nothing is one before torch is loaded."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def _only(samples: dict[str, np.ndarray] | np.ndarray | None) -> np.ndarray:
    """The array of a model with one input."""
    if isinstance(samples, np.ndarray):
        return samples
    if samples is None or len(samples) != 1:
        got = "none" if samples is None else f"{len(samples)} arrays"
        raise InputError(
            f"a torch module needs calibration, one array (N, *shape of one input), got {got}"
        )
    return next(iter(samples.values()))
