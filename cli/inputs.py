# SPDX-License-Identifier: Apache-2.0
"""Which arrays of an .npz a model reads: inputs, labels, expected outputs.

    layout     that of the source model, (N, *shape) without its leading 1, axes of length 1 or not;
               arrays that fit the order of the device alone are taken so. The data of a search lie
               as the device has them, and so do the arrays of its projects
    numbers    float arrays are real numbers, standardised and quantized as ``real_values`` says;
               int8 (and uint8, where the model has it) are the integers themselves, and int16 where
               the input is int16. In the file a search was trained on, all others are numbers of
               the data, int8 too, and for what a search found all but int8
    labels     array y, labels or label: what the data of the search call the classes, or without a
               search their indices; array class: always indices

A model with several inputs reads the arrays of their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.cli.batches import (
    Border,
    Source,
    answers_of,
    as_device,
    batch,
    fits,
    model_dtype,
    own_name,
    rows_text,
    type_text,
)
from tinytailor.compiler.training_record import TrainingRecord
from tinytailor.nas.data.npz import read_npz
from tinytailor.nas.data.sources import digest_of_file, split_of, text_of
from tinytailor.nas.scores import Scores, check_classes, numbered, score_answers
from tinytailor.targets.errors import InputError
from tinytailor.targets.names import no_such

LABEL_NAMES = ("y", "labels", "label")
CLASS_NAME = "class"  # array of indices, as a search writes it
ALL = "all"
PARTS = ("train", "test", ALL)


@dataclass(frozen=True, slots=True)
class Inputs:
    """``batches``: integers (N, *shape without its leading 1), one an input of the model; ``names``
    of their arrays; ``reals``: the real numbers they were made from, in the same shape, or None;
    labels (N,): indices of classes; ``part``: which rows of the data of the search these are;
    ``doubts``: sentences on numbers that look wrong."""

    batches: tuple[np.ndarray, ...]
    names: tuple[str, ...]
    reals: tuple[np.ndarray | None, ...] = ()
    part: str = ""
    doubts: tuple[str, ...] = ()
    labels: np.ndarray | None = None
    expected: Mapping[str, np.ndarray] = field(default_factory=dict)  # int8 rows, by output

    @property
    def quantized(self) -> bool:
        """Whether some were real numbers."""
        return any(rows is not None for rows in self.reals)

    def check_labels(self, output: Mapping[str, Any]) -> None:
        """InputError for a label that is no place in ``output``, a record of the manifest."""
        if self.labels is not None and output["dtype"] == "int8":
            check_classes("label", self.labels, prod(output["shape"][1:]))

    def scores(self, outputs: np.ndarray, names: Sequence[str] = ()) -> Scores:
        """The answer of a row is the place of its largest output, the first of equal ones.

        Outputs wider than int8 are classes already. Without ``names`` the classes are numbered.
        """
        assert self.labels is not None
        answers = answers_of(outputs)
        if outputs.dtype == np.int8:
            classes = prod(outputs.shape[1:])
        else:
            classes = 1 + max(int(answers.max()), int(self.labels.max()))
        return score_answers(self.labels, answers, names or numbered(classes))

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
    manifest: Mapping[str, Any],
    *,
    name: str | None = None,
    expect: str | None = None,
    part: str | None = None,
) -> Inputs:
    """As ``read_inputs``, from an .npz file."""
    return read_inputs(path, read_npz(path), manifest, name=name, expect=expect, part=part)


def read_inputs(
    path: Source,
    arrays: dict[str, np.ndarray],
    manifest: Mapping[str, Any],
    *,
    name: str | None = None,
    expect: str | None = None,
    part: str | None = None,
) -> Inputs:
    """``part``: train or test, of the data of the search, or all; errors name arrays and shapes."""
    borders: Sequence[Border] = manifest["inputs"]
    if any("step" not in border for border in borders):
        raise InputError(
            f"the project {manifest['name']} was compiled by an earlier tinytailor, which did not "
            "write what real numbers mean; compile its model again"
        )
    training = training_of(manifest)
    own = training is not None and is_training_file(arrays, training, name)
    arrays, chosen_part = of_part(path, arrays, training if own else None, part)
    names: tuple[str, ...]
    if len(borders) == 1:
        names = (_choose(path, arrays, borders[0], name),)
    else:
        names = _named(path, arrays, borders, name)
    read = [
        batch(path, arrays[chosen], chosen, border, own=own, searched=training is not None)
        for chosen, border in zip(names, borders, strict=True)
    ]
    count = len(read[0].rows)
    if any(len(one.rows) != count for one in read):
        raise InputError(
            f"{path}: the inputs need equally many rows, got "
            + ", ".join(f"{len(one.rows)} of {n}" for one, n in zip(read, names, strict=True))
        )
    return Inputs(
        tuple(one.rows for one in read),
        names,
        tuple(one.real for one in read),
        chosen_part,
        tuple(sentence for one in read for sentence in one.doubts(training)),
        _labels(path, arrays, training, count, names[0]),
        _expected(path, arrays, expect, manifest["outputs"], count),
    )


def training_of(manifest: Mapping[str, Any]) -> TrainingRecord | None:
    """What the manifest says of the training, if the model came from a search."""
    values = manifest.get("training")
    return None if values is None else TrainingRecord.from_json(values)


def is_training_file(
    arrays: Mapping[str, np.ndarray], training: TrainingRecord, name: str | None
) -> bool:
    """Whether these are the samples and labels that the search was given."""
    if not training.digest or name not in (None, "x") or not {"x", "y"} <= arrays.keys():
        return False
    return digest_of_file(arrays) == training.digest


def of_part(
    path: Source, arrays: dict[str, np.ndarray], training: TrainingRecord | None, part: str | None
) -> tuple[dict[str, np.ndarray], str]:
    """The rows of a part, as the search split them, and its name; without ``part`` and where the
    search split these data, the test part."""
    if part not in (None, *PARTS):
        raise InputError(f"--part {part}: expected one of {', '.join(PARTS)}")
    if training is None and part in (None, ALL):
        return arrays, ""
    if training is None and "split" not in arrays:
        raise InputError(
            f"--part {part}: {path} is not the file that the network was trained on, and has no "
            "array split; leave --part out to take all rows"
        )
    if part == ALL:
        return arrays, "all parts"
    part = part or "test"
    split = split_of(str(path), arrays, 0 if training is None else training.seed)
    rows = split == "test" if part == "test" else split != "test"
    if not rows.any():
        raise InputError(f"--part {part}: {path} has no rows of it; its array split says so")
    kept = {key: a[rows] if a.shape[:1] == rows.shape else a for key, a in arrays.items()}
    return kept, f"the {part} part"


def _labels(
    path: Source,
    arrays: Mapping[str, np.ndarray],
    training: TrainingRecord | None,
    count: int,
    rows_of: str,
) -> np.ndarray | None:
    """Indices of classes (N,), whatever the file calls them; None if it does not."""
    name = next((name for name in (CLASS_NAME, *LABEL_NAMES) if name in arrays), None)
    if name is None:
        return None
    labels = text_of(arrays[name])
    named = training is not None and name != CLASS_NAME
    kinds = "iuU" if named else "iu"
    if labels.shape != (count,) or labels.dtype.kind not in kinds:
        what = "label of the training data" if named else "whole number"
        raise InputError(
            f"{path}: labels ({name}) are {type_text(labels)}, expected one {what} for each of the "
            f"{count} rows of {rows_of}"
        )
    if training is not None and named:
        return training.indices(labels, f"{path}: array {name}")
    return labels


def _named(
    path: Source,
    arrays: Mapping[str, np.ndarray],
    model_inputs: Sequence[Border],
    name: str | None,
) -> tuple[str, ...]:
    """The arrays of a model with several inputs, which have the names of the inputs."""
    names = tuple(own_name(model_input, arrays) for model_input in model_inputs)
    missing = [wanted for wanted in names if wanted not in arrays]
    if name is not None or missing:
        raise InputError(
            f"{path}: the model has {len(names)} inputs and reads the arrays {', '.join(names)}; "
            + (f"it has {_list(arrays)}" if missing else "leave --input-name out")
        )
    return names


def _choose(
    path: Source, arrays: Mapping[str, np.ndarray], border: Border, name: str | None
) -> str:
    if name is not None:
        if name not in arrays:
            raise no_such(f"{path} has no array {name}", name, _texts(arrays), label="it has")
        return name
    if "x" in arrays:
        return "x"
    fitting = {key: array for key, array in arrays.items() if fits(array, border)}
    if len(fitting) == 1:
        return next(iter(fitting))
    problem = "no array" if not fitting else "more than one array"
    raise InputError(
        f"{path}: {problem} fits the model's input {rows_text(border['shape'][1:])}; it has "
        f"{_list(fitting or arrays)}; choose one with --input-name"
    )


def _expected(
    path: Source,
    arrays: Mapping[str, np.ndarray],
    expect: str | None,
    model_outputs: Sequence[Border],
    rows: int,
) -> dict[str, np.ndarray]:
    """By output, what --expect names: an array for each output, or OUTPUT=ARRAY for some."""
    if expect is None:
        return {}
    shapes = {str(output["name"]): output for output in model_outputs}
    words = [word.partition("=") for word in expect.split(",")]
    if all(sign for _, sign, _ in words):
        given = {output: name for output, _, name in words}
        ours = {own_name(output, given): str(output["name"]) for output in model_outputs}
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
        output: _rows_of(path, arrays, name, shapes[output], rows) for output, name in pairs.items()
    }


def _rows_of(
    path: Source, arrays: Mapping[str, np.ndarray], name: str, border: Border, rows: int
) -> np.ndarray:
    """An array of expected outputs as (rows, elements) in the order of the device: in the layout of
    the model or of the device, or flat."""
    if name not in arrays:
        problem = f"{path} has no array {name} for --expect"
        raise no_such(problem, name, _texts(arrays), label="it has")
    array, shape = arrays[name], tuple(border["shape"][1:])
    flat = array.ndim == 2 and array.shape[1] == prod(shape)
    as_model = array.dtype == np.uint8 and model_dtype(border) == "uint8"
    if not (array.dtype == np.int8 or as_model) or array.ndim < 2 or len(array) != rows:
        raise InputError(
            f"{path}: array {name} is {type_text(array)}, expected int8 outputs for {rows} rows"
        )
    if not flat and not fits(array, border):
        last = "; maps have their channels last" if len(shape) == 3 else ""
        raise InputError(
            f"{path}: array {name} is {type_text(array)}, but output {border['name']} is "
            f"{rows_text(shape)}{last}"
        )
    if not flat:
        array, _ = as_device(array, border)
    if as_model:
        array = (array.astype(np.int16) - 128).astype(np.int8)
    return array.reshape(rows, -1)


def _list(arrays: Mapping[str, np.ndarray]) -> str:
    return ", ".join(_texts(arrays).values()) or "none"


def _texts(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    return {name: f"{name} {type_text(array)}" for name, array in arrays.items()}
