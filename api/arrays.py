# SPDX-License-Identifier: Apache-2.0
"""Numbers of a caller as rows of a device, and rows of a device as the model would have them.

    one input         an array
    several inputs    a dict by their names in the project or in the model file, or a sequence

An array is a batch if it has the shape of a sample behind its first axis, else one sample.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.cli.batches import Border, as_model, batch, own_name, squeezed
from tinytailor.cli.inputs import Inputs, load_inputs, read_inputs
from tinytailor.targets.errors import Doubt, InputError
from tinytailor.targets.names import no_such

Given = Any  # an array, a dict or a sequence of arrays, or whatever numpy makes an array of


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """``batches``: one an input, integers or float32 (N, *shape) in the order of the device.
    ``single``: they were one sample without an axis for it."""

    batches: tuple[np.ndarray, ...]
    single: bool


def as_rows(x: Given, manifest: Mapping[str, Any], where: str) -> Rows:
    """InputError, which says ``where``, for what fits no input."""
    borders, searched = manifest["inputs"], manifest.get("training") is not None
    read, singles = [], []
    for border, array in zip(borders, by_input(x, borders, where), strict=True):
        rows, single = with_rows(array, border)
        one = batch(where, rows, name_of(border), border, searched=searched)
        for sentence in one.told:
            warnings.warn(sentence, Doubt, stacklevel=4)
        numbers = one.rows if one.real is None else np.ascontiguousarray(one.real, np.float32)
        read.append(numbers)
        singles.append(single)
    counts = [len(numbers) for numbers in read]
    if len(set(counts)) > 1:
        each = ", ".join(f"{n} of {name_of(b)}" for n, b in zip(counts, borders, strict=True))
        raise InputError(f"{where}: the inputs need equally many rows, got {each}")
    return Rows(tuple(read), all(singles))


def by_input(x: Given, borders: Sequence[Border], where: str) -> list[np.ndarray]:
    """The array of each input."""
    names = [name_of(border) for border in borders]
    if isinstance(x, Mapping):
        keys = [own_name(border, x) for border in borders]
        unknown = [key for key in x if key not in keys]
        if unknown:
            problem = f"{where}: the project has no input {unknown[0]!r}"
            raise no_such(problem, str(unknown[0]), names, label="it has")
        missing = [name for name, key in zip(names, keys, strict=True) if key not in x]
        if missing:
            raise InputError(f"{where}: no array for input {missing[0]}; it reads {_list(names)}")
        return [as_array(x[key], f"{where}: array {key}") for key in keys]
    if len(borders) == 1:
        return [as_array(x, f"{where}: array {names[0]}")]
    if not isinstance(x, list | tuple) or len(x) != len(names):
        got = f"{len(x)} arrays" if isinstance(x, list | tuple) else type(x).__name__
        raise InputError(
            f"{where}: got {got}, expected an array for each of the {len(names)} inputs "
            f"{_list(names)}, as a dict or in this order"
        )
    return [as_array(one, f"{where}: array {n}") for one, n in zip(x, names, strict=True)]


def with_rows(array: np.ndarray, border: Border) -> tuple[np.ndarray, bool]:
    """The array with an axis of rows, and whether it had none; what fits nothing as it is."""
    shapes = [squeezed(one["shape"]) for one in (border, border.get("model", border))]
    if array.ndim and squeezed(array.shape[1:]) in shapes:
        return array, False
    if squeezed(array.shape) in shapes:
        return array[None], True
    return array, False


def as_array(x: Any, what: str) -> np.ndarray:
    """Also of a torch tensor, wherever it lies; of objects only text."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise InputError(f"{what} is no array: {error}") from None
    if array.dtype == object and all(isinstance(one, str) for one in array.flat):
        array = array.astype(str)  # as pandas has text
    if array.dtype == object:
        raise InputError(f"{what} is {type(x).__name__}, expected an array of numbers or text")
    return array


def leaving(
    outputs: Sequence[np.ndarray], borders: Sequence[Border], single: bool
) -> dict[str, np.ndarray]:
    """By their names, in the layout of the model; of a single sample without an axis for it."""
    found = {}
    for y, border in zip(outputs, borders, strict=True):
        rows = as_model(y, border)
        found[name_of(border)] = rows[0] if single else rows
    return found


def given_inputs(
    inputs: Given,
    manifest: Mapping[str, Any],
    where: str,
    *,
    name: str | None = None,
    expect: str | None = None,
    part: str | None = None,
) -> Inputs | None:
    """What ``cli.inputs`` reads of an .npz file, of a dict that holds what one would, or of the
    arrays of the inputs alone."""
    if inputs is None:
        if (name, expect, part) != (None, None, None):
            raise InputError(f"{where}: input_name, expect and part choose from inputs; give some")
        return None
    if isinstance(inputs, str | Path):
        return load_inputs(Path(inputs), manifest, name=name, expect=expect, part=part)
    if isinstance(inputs, Mapping):
        arrays = {str(key): as_array(x, f"{where}: array {key}") for key, x in inputs.items()}
    else:
        borders = manifest["inputs"]
        pairs = zip(borders, by_input(inputs, borders, where), strict=True)
        arrays = {name_of(border): with_rows(x, border)[0] for border, x in pairs}
        name = next(iter(arrays)) if len(borders) == 1 else None
    return read_inputs(where, arrays, manifest, name=name, expect=expect, part=part)


def name_of(border: Border) -> str:
    """As the model file has it, or as the project does where there was none."""
    return str(border.get("model", border)["name"])


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
