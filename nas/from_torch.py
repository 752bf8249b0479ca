# SPDX-License-Identifier: Apache-2.0
"""A trained torch.nn.Module as a quantized ONNX file: torch.onnx, then post-training quantization.

module --torch.onnx--> float ONNX --samples, compiler/quantize--> QDQ ONNX --> compile_model
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import torch

from tinytailor.compiler.quantize import check_scheme, quantize_onnx
from tinytailor.targets.errors import InputError

OPSET = 17
Module = torch.nn.Module


def from_torch(
    module: torch.nn.Module,
    calibration: torch.Tensor | np.ndarray,
    *,
    scheme: str = "int8",
) -> bytes:
    """The QDQ ONNX model of ``module``, ready for ``load_model`` once it is written to a file.

    ``calibration``: real inputs, (N, *shape of one sample) as the module reads them, one input
    only. The module is exported in evaluation mode on its own device and left as it was.
    Raises InputError where it cannot be exported or quantized.
    """
    check_scheme(scheme)
    samples = torch.as_tensor(calibration).detach().cpu().float()
    if samples.ndim < 2 or not len(samples):
        raise InputError(
            f"calibration has shape {tuple(samples.shape)}, expected (samples, shape of one sample)"
        )
    return quantize_onnx(float_onnx(module, samples[:1]), samples.numpy(), scheme=scheme)


def float_onnx(module: torch.nn.Module, sample: torch.Tensor) -> bytes:
    """The module as float ONNX for inputs of the shape of ``sample``, batch 1."""
    parameter = next(module.parameters(), None)
    device = sample.device if parameter is None else parameter.device
    written = io.BytesIO()
    modes = {part: part.training for part in module.modules()}
    try:
        with silence(), torch.no_grad():
            torch.onnx.export(  # a buffer is as good as a path for the exporter without dynamo
                module.eval(),
                (sample.to(device),),
                written,  # type: ignore[arg-type]
                input_names=["x"],
                output_names=["y"],
                opset_version=OPSET,
                dynamo=False,
            )
    except Exception as error:  # whatever a user's forward raises while it is traced
        reason = next((line for line in str(error).splitlines() if line.strip()), "")
        name = type(module).__name__
        raise InputError(
            f"module {name} cannot be exported to ONNX for an input of shape "
            f"{tuple(sample.shape)}: {reason or type(error).__name__}"
        ) from error
    finally:
        for part, training in modes.items():
            part.training = training
    return written.getvalue()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """The exporter's advice to use its successor, which needs more packages, helps nobody here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
