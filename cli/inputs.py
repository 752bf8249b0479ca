# SPDX-License-Identifier: Apache-2.0
"""Which arrays of an .npz a model reads: inputs, labels, expected outputs.

Inputs are (N, *shape) where shape is the model's input without its leading 1; axes of length 1 may
be missing. A model with several inputs reads the arrays of their names. int8 arrays are taken as
they are, float arrays are quantized with the input's scale and zero point as the ONNX operator
QuantizeLinear does: round half to even of x / scale in float32.
"""

from __future__ import annotations

import zipfile
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.targets.errors import InputError
from tinytailor.targets.names import no_such

LABEL_NAMES = ("y", "labels", "label")


@dataclass(frozen=True, slots=True)
class Inputs:
    """``batches``: int8 (N, *shape without its leading 1), one an input of the model; the ``names``
    of their arrays; labels (N,)."""

    batches: tuple[np.ndarray, ...]
    names: tuple[str, ...]
    quantized: bool
    labels: np.ndarray | None = None
    expected: Mapping[str, np.ndarray] = field(default_factory=dict)  # int8 rows, by output

    def accuracy(self, outputs: np.ndarray) -> float:
        """Share of rows whose largest output, the first of equal ones, is at the label.

        Outputs wider than int8 are classes already.
        """
        rows = outputs.reshape(len(outputs), -1)
        found = rows.argmax(axis=1) if outputs.dtype == np.int8 else rows[:, 0]
        return float(np.mean(found == self.labels))

    def compare(self, outputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """How many rows and elements differ from the expected outputs, and by how much at most;
        with several, of each output under ``outputs``."""
        far = {
            name: np.abs(outputs[name].reshape(expected.shape).astype(np.int32) - expected)
            for name, expected in self.expected.items()
        }
        found = differences(np.concatenate(list(far.values()), axis=1))
        if len(far) > 1:
            found["outputs"] = {name: differences(steps) for name, steps in far.items()}
        return found


def differences(far: np.ndarray) -> dict[str, Any]:
    """Of (rows, elements) absolute differences."""
    return {
        "rows": len(far),
        "equal_rows": int((far == 0).all(axis=1).sum()),
        "differing_elements": int(np.count_nonzero(far)),
        "largest_difference": int(far.max()),
    }


def load_inputs(
    path: Path,
    model_inputs: Sequence[Mapping[str, Any]],
    *,
    name: str | None = None,
    expect: str | None = None,
    model_outputs: Sequence[Mapping[str, Any]] = (),
) -> Inputs:
    """``model_inputs`` and, for ``expect``, ``model_outputs`` are the manifest's lists; errors name
    the arrays and their shapes."""
    arrays = load_arrays(path)
    names: tuple[str, ...]
    if len(model_inputs) == 1:
        names = (_choose(path, arrays, tuple(model_inputs[0]["shape"][1:]), name),)
    else:
        names = _named(path, arrays, model_inputs, name)
    batches = [
        _batch(path, arrays[chosen], chosen, model_input)
        for chosen, model_input in zip(names, model_inputs, strict=True)
    ]
    count = len(batches[0])
    if any(len(batch) != count for batch in batches):
        raise InputError(
            f"{path}: the inputs need equally many rows, got "
            + ", ".join(f"{len(b)} of {n}" for b, n in zip(batches, names, strict=True))
        )
    quantized = any(arrays[chosen].dtype.kind == "f" for chosen in names)
    labels = next((arrays[label] for label in LABEL_NAMES if label in arrays), None)
    if labels is not None and (labels.shape != (count,) or labels.dtype.kind not in "iu"):
        raise InputError(
            f"{path}: labels are {_text(labels)}, expected one whole number for each of the "
            f"{count} rows of {names[0]}"
        )
    expected = _expected(path, arrays, expect, model_outputs, count)
    return Inputs(tuple(batches), names, quantized, labels, expected)


def _batch(path: Path, x: np.ndarray, chosen: str, model_input: Mapping[str, Any]) -> np.ndarray:
    """The rows of one array as int8, in the shape the model reads."""
    shape = tuple(model_input["shape"][1:])
    if not _fits(x, shape):
        raise InputError(
            f"{path}: array {chosen} is {_text(x)}, the model reads int8 or float {_rows(shape)}"
        )
    rows = x.reshape(-1, *shape)
    if not len(rows):
        raise InputError(f"{path}: array {chosen} has no rows")
    if x.dtype.kind == "f":
        rows = quantize(rows, model_input, f"{path}: array {chosen}")
    return rows


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of an .npz file, no pickles."""
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise InputError(f"{path} is one .npy array; save it as .npz: np.savez(file, x=array)")
        with archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path} is not an .npz file of plain arrays: {error}") from None


def quantize(x: np.ndarray, model_input: Mapping[str, Any], where: str) -> np.ndarray:
    """Float to int8 by the input's scale and zero point."""
    if not np.isfinite(x).all():
        row = int(np.argwhere(~np.isfinite(x))[0][0])
        raise InputError(f"{where} holds NaN or infinity, first in row {row}")
    scaled = np.rint(x.astype(np.float32) / np.float32(model_input["scale"]))
    return np.clip(scaled + model_input["zero_point"], -128, 127).astype(np.int8)


def _named(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    model_inputs: Sequence[Mapping[str, Any]],
    name: str | None,
) -> tuple[str, ...]:
    """The arrays of a model with several inputs, which have the names of the inputs."""
    names = tuple(_own_name(model_input, arrays) for model_input in model_inputs)
    missing = [wanted for wanted in names if wanted not in arrays]
    if name is not None or missing:
        raise InputError(
            f"{path}: the model has {len(names)} inputs and reads the arrays {', '.join(names)}; "
            + (f"it has {_list(arrays)}" if missing else "leave --input-name out")
        )
    return names


def _own_name(border: Mapping[str, Any], known: Container[str]) -> str:
    """How ``known`` names an input or output: as the project does, or as the model file did."""
    name, in_model = str(border["name"]), border.get("model", {}).get("name")
    return str(in_model) if name not in known and in_model in known else name


def _choose(
    path: Path, arrays: Mapping[str, np.ndarray], shape: Sequence[int], name: str | None
) -> str:
    if name is not None:
        if name not in arrays:
            raise no_such(f"{path} has no array {name}", name, _texts(arrays), label="it has")
        return name
    if "x" in arrays:
        return "x"
    fitting = {key: array for key, array in arrays.items() if _fits(array, shape)}
    if len(fitting) == 1:
        return next(iter(fitting))
    problem = "no array" if not fitting else "more than one array"
    raise InputError(
        f"{path}: {problem} fits the model's input {_rows(shape)}; it has "
        f"{_list(fitting or arrays)}; choose one with --input-name"
    )


def _fits(array: np.ndarray, shape: Sequence[int]) -> bool:
    """Rows of ``shape``, give or take axes of length 1, as int8 or float."""
    squeezed = [size for size in shape if size != 1]
    return (
        (array.dtype == np.int8 or array.dtype.kind == "f")
        and array.ndim >= 1
        and [size for size in array.shape[1:] if size != 1] == squeezed
    )


def _expected(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    expect: str | None,
    model_outputs: Sequence[Mapping[str, Any]],
    rows: int,
) -> dict[str, np.ndarray]:
    """By output, what --expect names: an array for each output, or OUTPUT=ARRAY for some."""
    if expect is None:
        return {}
    shapes = {str(output["name"]): tuple(output["shape"][1:]) for output in model_outputs}
    words = [word.partition("=") for word in expect.split(",")]
    if all(sign for _, sign, _ in words):
        given = {output: name for output, _, name in words}
        ours = {_own_name(output, given): str(output["name"]) for output in model_outputs}
        pairs = {ours.get(output, output): name for output, name in given.items()}
    elif len(words) == len(shapes) and not any(sign for _, sign, _ in words):
        pairs = dict(zip(shapes, (word for word, _, _ in words), strict=True))
    else:
        pairs = {}
    if not pairs or not pairs.keys() <= shapes.keys():
        raise InputError(
            f"--expect {expect}: the model has {len(shapes)} outputs {', '.join(shapes)}; name an "
            "array for each, with commas, or those to compare as OUTPUT=ARRAY"
        )
    return {
        output: _rows_of(path, arrays, name, output, shapes[output], rows)
        for output, name in pairs.items()
    }


def _rows_of(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    name: str,
    output: str,
    shape: tuple[int, ...],
    rows: int,
) -> np.ndarray:
    """An array of expected outputs as (rows, elements): of the output's shape, or flat."""
    if name not in arrays:
        problem = f"{path} has no array {name} for --expect"
        raise no_such(problem, name, _texts(arrays), label="it has")
    array = arrays[name]
    flat = array.ndim == 2 and array.shape[1] == prod(shape)
    if array.dtype != np.int8 or array.ndim < 2 or len(array) != rows:
        raise InputError(
            f"{path}: array {name} is {_text(array)}, expected int8 outputs for {rows} rows"
        )
    if not flat and not _fits(array, shape):
        last = "; maps have their channels last" if len(shape) == 3 else ""
        raise InputError(
            f"{path}: array {name} is {_text(array)}, but output {output} is {_rows(shape)}{last}"
        )
    return array.reshape(rows, -1)


def _text(array: np.ndarray) -> str:
    return f"{array.dtype} {array.shape}"


def _rows(shape: Sequence[int]) -> str:
    return f"(rows, {', '.join(map(str, shape))})"


def _list(arrays: Mapping[str, np.ndarray]) -> str:
    return ", ".join(_texts(arrays).values()) or "none"


def _texts(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    return {name: f"{name} {_text(array)}" for name, array in arrays.items()}
