# SPDX-License-Identifier: Apache-2.0
"""Whether a model would be imported, found by importing it.

    float model --random or real samples--> quantized model --> importer, without floats
                                                                   | refused
                                                                   v
                                                                importer, with floats

What the second refuses, too, has no form at all. What is behind an operator that was refused, and
not quantized, was not reached.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.graph_builder import MAX_ELEMENTS
from tinytailor.compiler.frontend.imported_values import Float, Unknown
from tinytailor.compiler.frontend.importer import Importer
from tinytailor.compiler.frontend.load import read_model
from tinytailor.compiler.frontend.names import identifier
from tinytailor.compiler.frontend.onnx.model_file import DAMAGED as DAMAGED_ONNX
from tinytailor.compiler.frontend.quiet import first_line, quiet
from tinytailor.compiler.frontend.report import Origin, Unsupported, UnsupportedError
from tinytailor.compiler.frontend.tflite.float_model import float_onnx
from tinytailor.compiler.frontend.tflite.model_file import DAMAGED as DAMAGED_TFLITE
from tinytailor.compiler.inspection.record import RANDOM_SAMPLES, SAMPLES, Refusal
from tinytailor.compiler.ir import Graph, Shape
from tinytailor.compiler.quantize import quantize_onnx
from tinytailor.compiler.quantize.calibrate import graph_inputs, input_type, samples_of
from tinytailor.compiler.quantize.prepare import prepared
from tinytailor.targets.errors import Doubt, InputError

Key = tuple[str, str]  # operator and where it is
Samples = Mapping[str, np.ndarray]
Draw = Callable[[np.random.Generator, Shape], np.ndarray]
COUNT = 2  # random samples
DRAWS: Sequence[Draw] = (
    lambda rng, shape: rng.normal(size=shape),
    lambda rng, shape: rng.uniform(size=shape),  # where a model wants roots or logarithms of them
)


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """``graph``: the model as integers, if it is accepted, perhaps with operators in float.

    ``unreached``: operators that nothing is known of, as they are behind refused ones; None: all
    but those refused. ``in_float``: those that are computed in float because others are.
    ``problem``: what stands in the way besides operators.
    """

    graph: Graph | None = None
    refused: tuple[Refusal, ...] = ()
    unreached: frozenset[Key] | None = frozenset()
    in_float: frozenset[Key] = frozenset()
    problem: str = ""


def key_of(origin: Origin) -> Key:
    return origin.operator, origin.place.split(" ", 1)[1]


def import_trial(data: bytes, suffix: str, path: Path) -> Trial:
    """The trial of a quantized model."""
    first = imported(data, suffix, path, allow_float=False)
    if first.graph is not None or not first.refused:
        return first
    try:
        second = imported(data, suffix, path, allow_float=True)
    except InputError:  # as frontend.load has it: only the first run tells whether it is damaged
        return first
    if second.problem:
        return first
    left = {(item.operator, item.place) for item in second.refused}
    before = {(item.operator, item.place) for item in first.refused}
    refused = [
        replace(item, allow_float=(item.operator, item.place) not in left) for item in first.refused
    ]
    refused += [item for item in second.refused if (item.operator, item.place) not in before]
    if second.graph is None:
        return Trial(None, tuple(refused), first.unreached)
    behind = second.in_float if first.unreached is None else first.unreached & second.in_float
    return Trial(second.graph, tuple(refused), in_float=behind)


def imported(data: bytes, suffix: str, path: Path, *, allow_float: bool) -> Trial:
    """One run of the importer; InputError if the file is damaged."""
    name = identifier(path.stem, "model")
    importer = None
    try:
        with np.errstate(all="ignore"):
            model = read_model(data, suffix, path, name, allow_float)
            importer = Importer(model, allow_float)
            return Trial(importer.run(), in_float=valued(importer, Float))
    except UnsupportedError as error:
        unreached = None if importer is None else valued(importer, Unknown)
        return Trial(None, refusals(error.items), unreached)
    except InputError as error:
        return Trial(unreached=None, problem=problem(error))


def problem(error: InputError) -> str:
    """The sentence of ``error``; raises it again if it is about a damaged file."""
    text = str(error)
    if DAMAGED_ONNX in text or DAMAGED_TFLITE in text:
        raise error
    return text


def refusals(items: Sequence[Unsupported]) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(item.origin.operator, item.origin.place, item.hint, False) for item in items
    )


def valued(importer: Importer, kind: type[Float] | type[Unknown]) -> frozenset[Key]:
    """Operators with a call of such a value; those that were not come to are unknown."""
    values = importer.builder.values
    return frozenset(
        key_of(call.origin)
        for index, call in enumerate(importer.model.listing.calls)
        if isinstance(values.get(index, Unknown(())), kind)
    )


def float_trial(
    data: bytes, suffix: str, path: Path, calibration: Samples | np.ndarray | None
) -> tuple[Trial, str | None]:
    """The trial of a float model, and with what it was quantized, if it could be.

    Raises InputError if the samples do not fit the inputs.
    """
    try:
        source = float_onnx(data, path) if suffix == ".tflite" else data
        with quiet():
            model = prepared(source, path)
    except UnsupportedError as error:
        return Trial(None, refusals(error.items), None), None
    except InputError as error:
        return Trial(unreached=None, problem=problem(error)), None
    inputs = graph_inputs(model)
    types = {name: input_type(model, name) for name in inputs}
    for name, shape in inputs.items():
        if prod(shape) > MAX_ELEMENTS:
            text = f"input {name} has shape {shape}, which fits no device"
            return Trial(unreached=None, problem=text), None
    if calibration is not None:
        samples = {"x": calibration} if isinstance(calibration, np.ndarray) else calibration
        samples_of(model, samples)
        return quantized_trial(source, path, samples), SAMPLES
    for draw in DRAWS:
        samples = random_samples(inputs, types, draw)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Doubt)
            trial = quantized_trial(source, path, samples)
        if not trial.problem:
            break
    if trial.problem:
        hint = "perhaps only with the random samples; give real ones with --calibration"
        trial = replace(trial, problem=f"{trial.problem} ({hint})")
    return trial, RANDOM_SAMPLES


def quantized_trial(source: bytes, path: Path, samples: Samples) -> Trial:
    """The trial of a float ONNX model that is quantized with ``samples``, which fit its inputs."""
    try:
        integers = quantize_onnx(source, samples, path=path)
    except InputError as error:
        return Trial(unreached=None, problem=problem(error))
    except Exception as error:  # quantizers compute with whatever a file holds
        text = f"{path.name} cannot be quantized ({first_line(error)})"
        return Trial(unreached=None, problem=text)
    try:
        return import_trial(integers, ".onnx", path)
    except InputError as error:  # the file was read before: it is not damaged
        return Trial(unreached=None, problem=f"once quantized, {error}")


def random_samples(
    inputs: Mapping[str, Shape], types: Mapping[str, np.dtype[Any]], draw: Draw
) -> Samples:
    """The same whenever they are asked for; pixels are even."""
    rng = np.random.default_rng(0)

    def sample(name: str, shape: Shape) -> np.ndarray:
        sizes, dtype = (COUNT, *shape[1:]), types[name]
        if dtype.kind == "f":
            return draw(rng, sizes).astype(np.float32)
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max + 1, sizes).astype(dtype)

    return {name: sample(name, shape) for name, shape in inputs.items()}
