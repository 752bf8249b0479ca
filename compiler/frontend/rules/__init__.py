# SPDX-License-Identifier: Apache-2.0
"""The rules of all operators: one file each, with one line here.

CALLS          name of a Relax call -> its rule
ONNX, TFLITE   operators of model files that become such calls
ONNX_IN_FLOAT  the same with those that only --allow-float imports

Everything else is refused by name, without asking TVM.
"""

from __future__ import annotations

from tinytailor.compiler.frontend.rules import (
    arg_max,
    arithmetic,
    cast,
    clamp,
    compand,
    concat,
    conv_transpose,
    convolution,
    deform_conv,
    dense,
    extremum,
    float_only,
    functions,
    identity,
    l2_normalize,
    layer_normalize,
    pad,
    pooling,
    prelu,
    quantize,
    reductions,
    reshape,
    resize,
    resize_linear,
    selection,
    slices,
    softmax,
    square_deform,
    squared_difference,
    transpose,
)
from tinytailor.compiler.frontend.rules.rule import Onnx, Rule, Tflite

RULE_FILES = (
    arg_max.RULES,
    arithmetic.RULES,
    cast.RULES,
    clamp.RULES,
    compand.RULES,
    concat.RULES,
    conv_transpose.RULES,
    convolution.RULES,
    deform_conv.RULES,
    dense.RULES,
    extremum.RULES,
    float_only.RULES,
    functions.RULES,
    identity.RULES,
    l2_normalize.RULES,
    layer_normalize.RULES,
    pad.RULES,
    pooling.RULES,
    prelu.RULES,
    quantize.RULES,
    reductions.RULES,
    reshape.RULES,
    resize.RULES,
    resize_linear.RULES,
    selection.RULES,
    slices.RULES,
    softmax.RULES,
    square_deform.RULES,
    squared_difference.RULES,
    transpose.RULES,
)
CALLS: dict[str, Rule] = {name: rule for file in RULE_FILES for name, rule in file.calls.items()}
ONNX: dict[str, Onnx] = {name: form for file in RULE_FILES for name, form in file.onnx.items()}
ONNX_IN_FLOAT: dict[str, Onnx] = ONNX | {
    name: form for file in RULE_FILES for name, form in file.onnx_in_float.items()
}
TFLITE: dict[str, Tflite] = {
    name: form for file in RULE_FILES for name, form in file.tflite.items()
}

__all__ = ["CALLS", "ONNX", "ONNX_IN_FLOAT", "RULE_FILES", "TFLITE"]
