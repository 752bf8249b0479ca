# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization: a float ONNX model and samples of its inputs to a QDQ ONNX model.

    bytes --prepare.py--> batch 1, folded --calibrate.py--> ranges --scheme--> QDQ bytes

A scheme is one file with ``quantize(model, samples, file) -> model`` and one line in ``SCHEMES``.
The result is an ordinary ONNX file: onnxruntime runs it, and the front end reads it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.compiler.quantize.schemes import int8
from tinytailor.targets.errors import Doubt
from tinytailor.targets.names import no_such

SCHEMES: dict[str, Callable[[Any, list[dict[str, np.ndarray]], str], Any]] = {
    "int8": int8.quantize,
}


def check_scheme(name: str) -> str:
    if name not in SCHEMES:
        raise no_such(f"no quantization scheme is called {name!r}", name, tuple(SCHEMES))
    return name


def quantize_onnx(
    data: bytes,
    calibration: Mapping[str, np.ndarray] | np.ndarray,
    *,
    scheme: str = "int8",
    path: Path = Path("model.onnx"),
) -> bytes:
    """The QDQ form of a float model.

    ``calibration``: real inputs, float (N, *shape without its leading 1) in the model's own layout,
    by input name, or one array (or one called "x") for a model with one input. ``path`` names the
    model in errors, and its folder is where external data lies.
    Raises InputError for a model or samples that cannot be used; warns (Doubt) of a
    sample with numbers far beyond the others', and of tensors that are always 0.
    """
    from tinytailor.compiler.frontend.onnx import standardized
    from tinytailor.compiler.frontend.quiet import quiet
    from tinytailor.compiler.quantize.calibrate import samples_of
    from tinytailor.compiler.quantize.prepare import prepared

    quantizer = SCHEMES[check_scheme(scheme)]
    with quiet():
        model = prepared(data, path)
        arrays = {"x": calibration} if isinstance(calibration, np.ndarray) else calibration
        chains = standardized.cut(model)
        samples = samples_of(model, arrays)
        for sample in samples:
            for chain in chains:
                sample[chain.source] = standardized.standardised(chain, sample[chain.source])
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always", Doubt)
            result = quantizer(model, samples, path.name)
        standardized.attach(result, chains)
    for doubt in doubts:
        warnings.warn(doubt.message, stacklevel=2)
    written: bytes = result.SerializeToString(deterministic=True)
    return written


def quantize_model(
    data: bytes,
    calibration: Mapping[str, np.ndarray] | np.ndarray,
    *,
    scheme: str = "int8",
    path: Path,
) -> bytes:
    """The same for the bytes of a model file of any kind that ``path`` says."""
    if path.suffix.lower() == ".tflite":
        from tinytailor.compiler.frontend.tflite.float_model import float_onnx

        data = float_onnx(data, path)
    return quantize_onnx(data, calibration, scheme=scheme, path=path)


__all__ = ["SCHEMES", "check_scheme", "quantize_model", "quantize_onnx"]
