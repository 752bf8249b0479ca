# SPDX-License-Identifier: Apache-2.0
"""What leaves numbers as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.onnx.arguments import numbers
from tinytailor.compiler.frontend.rules.rule import Attributes, Onnx, Rules


def dropout(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """Nothing, unless it is trained."""
    training = numbers(inputs, 2, "training_mode")
    if training is not None and np.any(training):
        raise ValueError("it is in training mode; export the model for inference")
    return [inputs[0]]


RULES = Rules(
    onnx={
        "Constant": Onnx(needed=0),
        "Dropout": Onnx(dropout),
        "Identity": Onnx(pointwise=True, keeps_scale=True),
    },
)
