# SPDX-License-Identifier: Apache-2.0
"""One input or output of a project: arrays in the layout of the source model, or as they lie on the
device.

    rows      (N, *shape) without the leading 1 of ``shape``, axes of length 1 or not
    real      what ``real_values`` makes integers of; arrays that fit the order of the device alone
              are taken so
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.compiler.real_values import Standardization, quantized
from tinytailor.compiler.training_record import TrainingRecord, unlike_training
from tinytailor.targets.errors import InputError

Border = Mapping[str, Any]  # an input or output, as the manifest has it
Source = Path | str  # of arrays: a file, or what holds them in words


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows for one input: integers in the order of the device, and the real numbers they were."""

    rows: np.ndarray
    real: np.ndarray | None
    name: str
    border: Border
    told: tuple[str, ...]

    def doubts(self, training: TrainingRecord | None) -> tuple[str, ...]:
        if self.real is None:
            return self.told
        how = Standardization.from_json(self.border)
        zero_point = self.border["zero_point"]
        dtype = integers_of(self.border)
        found = unlike_training(self.name, self.real, how, zero_point, training, dtype)
        return (*self.told, *found)


def batch(
    source: Source,
    x: np.ndarray,
    chosen: str,
    border: Border,
    *,
    own: bool = False,
    searched: bool = False,
) -> Batch:
    """The rows of the array that ``source`` calls ``chosen``.

    ``own``: they are the data of the training, so all are real numbers. ``searched``: a search made
    the model, for data of any type that lie as the device has them, so all but int8 are. int16 is
    what an int16 input reads, whatever it is from.
    """
    integers = integers_of(border)
    other = searched and x.dtype != integers and x.dtype.kind in "iu"
    real = own or x.dtype.kind == "f" or other
    if x.dtype == integers == "int16":
        real = False
    if not fits(x, border, real):
        model = tuple(border.get("model", border)["shape"][1:])
        types = f"{integers}, uint8 or float" if takes_uint8(border) else f"{integers} or float"
        device = tuple(border["shape"][1:])
        also = f", or in the order of the device {rows_text(device)}" if device != model else ""
        raise InputError(
            f"{source}: array {chosen} is {type_text(x)}, the model reads {types} "
            f"{rows_text(model)}{also}"
        )
    if not len(x):
        raise InputError(f"{source}: array {chosen} has no rows")
    rows, ours = as_device(x, border, searched)
    told: tuple[str, ...] = ()
    if ours:
        told = (
            f"array {chosen} {type_text(x)} is not in the layout of the model, so it is taken as "
            "the device has it",
        )
    if real:
        q = quantize(rows, border, f"{source}: array {chosen}")
        return Batch(q, rows, chosen, border, told)
    if x.dtype == np.uint8:
        rows = (rows.astype(np.int16) - 128).astype(np.int8)
    return Batch(rows, None, chosen, border, told)


def as_device(x: np.ndarray, border: Border, searched: bool = False) -> tuple[np.ndarray, bool]:
    """Rows in the order of the device, and whether they were in it already, not in the model's,
    where nothing says that they would be."""
    device = border["shape"][1:]
    model = border.get("model")
    if searched and squeezed(x.shape[1:]) == squeezed(device):
        return x.reshape(-1, *device), False
    if model is None or squeezed(x.shape[1:]) != squeezed(model["shape"]):
        return x.reshape(-1, *device), model is not None and model["axes"] != sorted(model["axes"])
    rows = x.reshape(len(x), *model["shape"])
    turned = rows.transpose(0, *(axis + 1 for axis in model["axes"]))
    return np.ascontiguousarray(turned).reshape(-1, *device), False


def as_model(y: np.ndarray, border: Border) -> np.ndarray:
    """Rows as they lie on the device in the layout of the model, without its leading 1."""
    model = border.get("model")
    if model is None:
        return y
    shape, axes = model["shape"], model["axes"]
    turned = y.reshape(len(y), *(shape[axis] for axis in axes))
    rows = turned.transpose(0, *(axes.index(axis) + 1 for axis in range(len(axes))))
    return rows.reshape(len(y), *(shape[1:] if shape[:1] == [1] else shape))


def own_name(border: Mapping[str, Any], known: Container[str]) -> str:
    """How ``known`` names an input or output: as the project does, or as the model file did."""
    name, in_model = str(border["name"]), border.get("model", {}).get("name")
    return str(in_model) if name not in known and in_model in known else name


def answers_of(outputs: np.ndarray) -> np.ndarray:
    """The class of each row (N,): the place of its largest output, the first of equal ones; outputs
    wider than int8 are classes already."""
    rows = outputs.reshape(len(outputs), -1)
    answers: np.ndarray = rows.argmax(axis=1) if outputs.dtype == np.int8 else rows[:, 0]
    return answers


def model_dtype(border: Border) -> str:
    return str(border.get("model", border)["dtype"])


def integers_of(border: Border) -> str:
    """The type of the integers themselves: int16 of an input of samples, else int8."""
    return "int16" if border["dtype"] == "int16" else "int8"


def takes_uint8(border: Border) -> bool:
    return model_dtype(border) == "uint8"


def squeezed(shape: Sequence[int]) -> list[int]:
    return [size for size in shape if size != 1]


def quantize(x: np.ndarray, model_input: Mapping[str, Any], where: str) -> np.ndarray:
    """Float to integers by the input's step and zero point."""
    if not np.isfinite(x).all():
        row = int(np.argwhere(~np.isfinite(x))[0][0])
        raise InputError(f"{where} holds NaN or infinity, first in row {row}")
    how = Standardization.from_json(model_input)
    return quantized(x, how, model_input["zero_point"], integers_of(model_input))


def fits(array: np.ndarray, border: Border, any_number: bool = False) -> bool:
    """Rows in the layout of the model or of the device, give or take axes of length 1, of a type
    that can be read."""
    kinds = array.dtype.kind == "f" or array.dtype == integers_of(border)
    kinds |= array.dtype == np.uint8 and takes_uint8(border)
    shapes = [squeezed(border["shape"]), squeezed(border.get("model", border)["shape"])]
    return (kinds or any_number) and array.ndim >= 1 and squeezed(array.shape[1:]) in shapes


def type_text(array: np.ndarray) -> str:
    return f"{array.dtype} {array.shape}"


def rows_text(shape: Sequence[int]) -> str:
    return f"(rows, {', '.join(map(str, shape))})"
