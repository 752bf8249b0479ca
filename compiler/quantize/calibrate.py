# SPDX-License-Identifier: Apache-2.0
"""Samples of a model's inputs, and the range of every tensor over them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.quiet import first_line
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.references import onnx_session
from tinytailor.targets.errors import Doubt, InputError

Range = tuple[float, float]
Sample = Mapping[str, np.ndarray]
BINS = 2048
OUTLIER = 100  # times the largest number of other samples
SHARES = 1 - np.arange(24) / 32  # of the widest range, that are tried


def graph_inputs(model: Any) -> dict[str, Shape]:
    """Name and shape of every input that is no constant."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return {
        value.name: tuple(size.dim_value for size in value.type.tensor_type.shape.dim)
        for value in model.graph.input
        if value.name not in constants
    }


def input_type(model: Any, name: str) -> np.dtype[Any]:
    from onnx.helper import tensor_dtype_to_np_dtype

    (value,) = (value for value in model.graph.input if value.name == name)
    return np.dtype(tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))


def samples_of(model: Any, arrays: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """One dictionary of inputs, batch 1, for every row of the calibration arrays."""
    inputs = graph_inputs(model)
    rows = {}
    for name, shape in inputs.items():
        dtype = input_type(model, name)
        chosen = choose(arrays, name, shape, dtype, alone=len(inputs) == 1)
        rows[name] = rows_of(arrays[chosen], shape, dtype, chosen)
    counts = {name: len(array) for name, array in rows.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InputError(f"calibration: the inputs have different numbers of rows: {listed}")
    count = next(iter(counts.values()), 0)
    return [
        {name: array[row].reshape(inputs[name]) for name, array in rows.items()}
        for row in range(count)
    ]


def choose(
    arrays: Mapping[str, np.ndarray], name: str, shape: Shape, dtype: np.dtype[Any], alone: bool
) -> str:
    """The array of an input: by its name, else "x" or the only one that fits."""
    if name in arrays:
        return name
    fitting = [key for key, array in arrays.items() if fits(array, shape, dtype)]
    if alone and "x" in arrays:
        return "x"
    if alone and len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(f"{key} {text(array)}" for key, array in arrays.items()) or "none"
    raise InputError(
        f"calibration: no array for input {name} {shape}; it has {listed}; call it "
        f"{name!r}" + (" or 'x'" if alone else "")
    )


def squeezed(shape: Sequence[int]) -> list[int]:
    return [size for size in shape if size != 1]


def fits(array: np.ndarray, shape: Shape, dtype: np.dtype[Any]) -> bool:
    """Rows of ``shape``, or one sample of it, give or take axes of length 1; of any floats, or of
    just these integers."""
    if array.dtype.kind != "f" if dtype.kind == "f" else array.dtype != dtype:
        return False
    rows = array.ndim >= 1 and squeezed(array.shape[1:]) == squeezed(shape)
    return rows or squeezed(array.shape) == squeezed(shape)


def rows_of(array: np.ndarray, shape: Shape, dtype: np.dtype[Any], name: str) -> np.ndarray:
    """``dtype`` (N, *shape without its leading 1); one sample may come without its batch axis."""
    kind = "float" if dtype.kind == "f" else dtype.name
    expected = f"{kind} (rows, {', '.join(map(str, shape[1:]))})"
    if array.dtype.kind in "iub" and dtype.kind == "f":
        raise InputError(
            f"calibration: array {name} is {text(array)}, the model reads {expected}: give the "
            "real numbers the model was trained on, (q - zero_point) * scale of quantized ones, "
            "pixels with the preprocessing of training"
        )
    if array.ndim and len(array) == 0:
        raise InputError(f"calibration: array {name} has no rows; one sample at least is needed")
    if not fits(array, shape, dtype):
        turned = sorted(array.shape[1:]) == sorted(shape[1:]) and array.ndim == len(shape)
        hint = "; transpose it to the model's layout" if turned else ""
        raise InputError(
            f"calibration: array {name} is {text(array)}, the model reads {expected}{hint}"
        )
    single = squeezed(array.shape[1:]) != squeezed(shape)
    count = 1 if single else len(array)
    rows = array.reshape(count, *shape[1:]).astype(dtype)
    if not np.isfinite(rows).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(rows))[0])
        raise InputError(f"calibration: array {name} holds NaN or infinity, first at index {place}")
    return rows


def text(array: np.ndarray) -> str:
    return f"{array.dtype} {array.shape}"


class Observer:
    """Runs a model on samples and looks at some of its tensors."""

    def __init__(self, model: Any, tensors: Iterable[str], file: str) -> None:
        import onnx

        inputs = graph_inputs(model)
        self.file = file
        self.computed = [name for name in tensors if name not in inputs]
        if not self.computed:  # only inputs are quantized: nothing has to run
            return
        observed = onnx.ModelProto()
        observed.CopyFrom(model)
        del observed.graph.output[:]
        observed.graph.output.extend(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            for name in self.computed
        )
        try:
            self.session = onnx_session(observed)
        except Exception as error:
            raise InputError(f"{file}: onnxruntime cannot run it ({first_line(error)})") from None

    def values(self, sample: Sample) -> dict[str, np.ndarray]:
        """Every tensor, the inputs too, for one sample."""
        if not self.computed:
            return dict(sample)
        try:
            results = self.session.run(self.computed, dict(sample))
        except Exception as error:
            raise InputError(
                f"{self.file}: onnxruntime cannot run it ({first_line(error)})"
            ) from None
        return {**sample, **dict(zip(self.computed, results, strict=True))}


def ranges(
    model: Any, tensors: Sequence[str], samples: Sequence[Sample], file: str
) -> dict[str, Range]:
    """The range of each tensor that int8 represents with the least square error."""
    observer = Observer(model, tensors, file)
    widest: dict[str, Range] = {}
    peaks: dict[str, list[float]] = {}
    for row, sample in enumerate(samples):
        for name, value in observer.values(sample).items():
            where = f"{file}: tensor {name} on calibration sample {row}"
            widest[name] = widened(widest.get(name, (0.0, 0.0)), value, where)
            peaks.setdefault(name, []).append(float(np.abs(value).max(initial=0.0)))
    for sentence in doubts(peaks):
        warnings.warn(Doubt(sentence), stacklevel=2)
    counts = {name: np.zeros(BINS, np.int64) for name in widest}
    for sample in samples:
        for name, value in observer.values(sample).items():
            low, high = widest[name]
            if low < high:
                places = (value.ravel() - low) * (BINS / (high - low))
                bins = np.minimum(places.astype(np.int64), BINS - 1)
                counts[name] += np.bincount(bins, minlength=BINS)
    return {name: best_range(widest[name], counts[name]) for name in widest}


def doubts(peaks: Mapping[str, Sequence[float]]) -> list[str]:
    """Sentences on ``peaks``, the largest magnitudes of each tensor by sample: on the first tensor
    with an outlier, as those behind it follow, and on the first that is zero everywhere."""
    found = []
    zero = [name for name, values in peaks.items() if not any(values)]
    if zero:
        others = f" and {len(zero) - 1} more" if len(zero) > 1 else ""
        found.append(f"tensor {zero[0]}{others} is 0 on every calibration sample")
    for name, values in peaks.items():
        row, usual = int(np.argmax(values)), float(np.median(values))
        if usual and values[row] > OUTLIER * usual:
            found.append(
                f"calibration sample {row} reaches {values[row]:g} in tensor {name}, the others "
                f"about {usual:g}: their steps get as coarse; leave it out if it is wrong"
            )
            break
    return found


def widened(known: Range, value: np.ndarray, where: str) -> Range:
    if not np.isfinite(value).all():
        raise InputError(f"{where} is NaN or infinity")
    if not value.size:
        return known
    return (min(float(value.min()), known[0]), max(float(value.max()), known[1]))


def best_range(widest: Range, counts: np.ndarray) -> Range:
    """The part of ``widest`` with the least expected square error of int8:

    step^2 / 12 for a number inside, the square of its distance outside.
    """
    low, high = widest
    if not low < high:
        return widest
    centres = low + (np.arange(BINS) + 0.5) * (high - low) / BINS
    powers = [counts, counts * centres, counts * centres**2]
    sums = [np.concatenate(([0.0], np.cumsum(power))) for power in powers]

    def moments(place: np.ndarray) -> list[np.ndarray]:
        return [total[place] for total in sums]

    a, b = low * SHARES, high * SHARES
    below, above = np.searchsorted(centres, a), np.searchsorted(centres, b)
    n, first, second = moments(below)
    left = a**2 * n - 2 * a * first + second
    n, first, second = (total[-1] - part for total, part in zip(sums, moments(above), strict=True))
    right = b**2 * n - 2 * b * first + second
    inside = np.maximum(above[None, :] - below[:, None], 0)
    inside = np.where(inside, sums[0][above][None, :] - sums[0][below][:, None], 0)
    step = (b[None, :] - a[:, None]) / 255
    error = left[:, None] + right[None, :] + inside * step**2 / 12
    i, j = np.unravel_index(np.argmin(error), error.shape)
    return float(a[i]), float(b[j])
