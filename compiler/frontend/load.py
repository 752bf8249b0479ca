# SPDX-License-Identifier: Apache-2.0
"""A model file to its integer graph; a float model is quantized on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tinytailor.compiler.frontend.importer import Importer
from tinytailor.compiler.frontend.names import identifier
from tinytailor.compiler.frontend.onnx.reader import import_onnx
from tinytailor.compiler.frontend.relax_calls import ImportedModel
from tinytailor.compiler.frontend.report import Unsupported, UnsupportedError, with_float_hints
from tinytailor.compiler.frontend.tflite.reader import import_tflite
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.quantize import quantize_model
from tinytailor.targets.errors import InputError

SUFFIXES = (".onnx", ".tflite")
MAX_BYTES = 1 << 30


def load_model(
    path: Path | str,
    calibration: Mapping[str, np.ndarray] | np.ndarray | None = None,
    *,
    allow_float: bool = False,
) -> Graph:
    """The integer graph of a .onnx or .tflite file, named after it.

    A float model needs ``calibration``: real inputs, float (N, *shape without its leading 1), by
    input name, or one array. Maps are NHWC: a model with (1, C, H, W) inputs takes (1, H, W, C),
    one with (1, C, T) series takes (1, T, 1, C). Maps and series come out so, too; all else, and
    inputs that the model only reshapes and transposes at first, lie in its order. An output of the
    shape and scale of an input lies as that does. ``Graph.borders`` says how each lies. Tensors are
    int8: where the model uses uint8, integers and zero points are 128 less.
    ``allow_float``: operators without an integer form become float operators (FloatOp) where TVM
    can lower them and QuantizeLinear follows.
    Raises InputError for a file that cannot be read, or listing all operators without integer form.
    """
    path = Path(path)
    suffix, data = suffix_of(path), read_file(path)
    if calibration is not None:
        data, suffix = quantize_model(data, calibration, path=path), ".onnx"
    return graph_of(data, suffix, path, identifier(path.stem, "model"), allow_float)


def graph_of(data: bytes, suffix: str, path: Path, name: str, allow_float: bool = False) -> Graph:
    """The graph ``name`` of a quantized model's bytes; errors and external data are of ``path``."""
    try:
        return imported(data, suffix, path, name, allow_float)
    except UnsupportedError as error:
        if allow_float:
            raise
        left: Sequence[Unsupported] = ()
        try:  # what would still be refused
            imported(data, suffix, path, name, True)
        except UnsupportedError as rest:
            left = rest.items
        except InputError:  # about something else, which comes first without floats, too
            left = error.items
        raise with_float_hints(error, left) from None


def imported(data: bytes, suffix: str, path: Path, name: str, allow_float: bool) -> Graph:
    # Damaged files hold numbers that are not finite; whatever matters is checked where it is used.
    with np.errstate(all="ignore"):
        return Importer(read_model(data, suffix, path, name, allow_float), allow_float).run()


def read_model(
    data: bytes, suffix: str, path: Path, name: str, allow_float: bool = False
) -> ImportedModel:
    """The calls of a quantized model, before any becomes integers."""
    if suffix == ".tflite":
        return import_tflite(data, path, name)
    return import_onnx(data, path, name, allow_float)


def suffix_of(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: expected a model file ending in {' or '.join(SUFFIXES)}")
    return suffix


def read_file(path: Path) -> bytes:
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path}: expected a model file, got a folder or a device")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"{path}: {size} bytes are more than the limit of {MAX_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not data:
        raise InputError(f"{path}: the file is empty")
    return data
