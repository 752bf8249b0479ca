# SPDX-License-Identifier: Apache-2.0
"""Functions of one real number by their Relax names, in float64: lookup.py makes tables of them.

ONNX operators without a line in FUNCTIONS are written by TVM in terms of others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import erf, pi, sqrt
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.relax_calls import Call
from tinytailor.compiler.frontend.rules import lookup
from tinytailor.compiler.frontend.rules.pointwise import Unary, joint_only, unary
from tinytailor.compiler.frontend.rules.rule import (
    Attributes,
    Onnx,
    Rule,
    Rules,
    Tflite,
    TfliteConversion,
)
from tinytailor.compiler.frontend.tflite.arguments import options, quantized, real


def plain(function: Callable[[np.ndarray], np.ndarray]) -> Unary:
    return lambda real, call: function(real)


def error_function(real: np.ndarray) -> np.ndarray:
    return np.array([erf(number) for number in real])


def gelu(real: np.ndarray) -> np.ndarray:
    return 0.5 * real * (1 + error_function(real / sqrt(2)))


def gelu_tanh(real: np.ndarray) -> np.ndarray:
    return 0.5 * real * (1 + np.tanh(sqrt(2 / pi) * (real + 0.044715 * real**3)))


def sigmoid(real: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-real))


def leaky_relu(real: np.ndarray, call: Call) -> np.ndarray:
    return np.where(real < 0, real * np.float64(np.float32(call.attributes["alpha"])), real)


FUNCTIONS: dict[str, Unary] = {
    "relax.abs": plain(np.abs),
    "relax.ceil": plain(np.ceil),
    "relax.cos": plain(np.cos),
    "relax.erf": plain(error_function),
    "relax.exp": plain(np.exp),
    "relax.floor": plain(np.floor),
    "relax.log": plain(np.log),
    "relax.negative": plain(np.negative),
    "relax.nn.gelu": plain(gelu),
    "relax.nn.gelu_tanh": plain(gelu_tanh),
    "relax.nn.leakyrelu": leaky_relu,
    "relax.nn.silu": plain(lambda real: real * sigmoid(real)),
    "relax.round": plain(np.rint),
    "relax.rsqrt": plain(lambda real: 1 / np.sqrt(real)),
    "relax.sigmoid": plain(sigmoid),
    "relax.sign": plain(np.sign),
    "relax.sin": plain(np.sin),
    "relax.sqrt": plain(np.sqrt),
    "relax.square": plain(np.square),
    "relax.tanh": plain(np.tanh),
}


def celu(inputs: Sequence[Any], attributes: Attributes) -> list[Any]:
    """max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)"""
    from tvm import relax

    alpha, one = (relax.const(np.float32(n)) for n in (attributes.get("alpha", 1.0), 1.0))
    zero = relax.const(np.float32(0))
    grown = relax.op.exp(relax.op.divide(inputs[0], alpha))
    below = relax.op.minimum(relax.op.multiply(alpha, relax.op.subtract(grown, one)), zero)
    return [relax.op.add(relax.op.maximum(inputs[0], zero), below)]


def elu(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    x, one = real(converter, operator, 0), relax.const(np.float32(1))
    zero = relax.const(np.float32(0))
    below = relax.op.minimum(relax.op.subtract(relax.op.exp(x), one), zero)
    return quantized(converter, operator, relax.op.add(relax.op.maximum(x, zero), below))


def gelu_of_options(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    nn = relax.op.nn
    function = nn.gelu_tanh if options(operator, "GeluOptions").Approximate() else nn.gelu
    return quantized(converter, operator, function(real(converter, operator, 0)))


def square(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    return quantized(converter, operator, relax.op.square(real(converter, operator, 0)))


def chosen(condition: np.ndarray, yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    return np.where(np.asarray(condition) != 0, yes, no)


TESTS: dict[str, lookup.Function] = {
    "relax.equal": np.equal,
    "relax.greater": np.greater,
    "relax.greater_equal": np.greater_equal,
    "relax.less": np.less,
    "relax.less_equal": np.less_equal,
    "relax.logical_and": np.logical_and,
    "relax.logical_or": np.logical_or,
    "relax.logical_xor": np.logical_xor,
    "relax.not_equal": np.not_equal,
}


def compared(name: str) -> TfliteConversion:
    """A test of one or two numbers; its result is true or false, and not quantized."""

    def convert(converter: Any, operator: Any) -> list[Any]:
        from tvm import relax

        count = range(operator.InputsLength())
        numbers = (converter.bb.emit(real(converter, operator, index)) for index in count)
        return [getattr(relax.op, name)(*numbers)]

    return convert


def select(converter: Any, operator: Any) -> list[Any]:
    from tvm import relax

    condition, yes, no = (converter.bb.emit(real(converter, operator, i)) for i in range(3))
    return quantized(converter, operator, relax.op.where(condition, yes, no))


TFLITE_TESTS = {
    "EQUAL": "equal",
    "GREATER": "greater",
    "GREATER_EQUAL": "greater_equal",
    "LESS": "less",
    "LESS_EQUAL": "less_equal",
    "LOGICAL_AND": "logical_and",
    "LOGICAL_NOT": "logical_not",
    "LOGICAL_OR": "logical_or",
    "NOT_EQUAL": "not_equal",
}
ONNX = (
    *(
        "And",
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Not",
        "Or",
        "Where",
        "Xor",
    ),
    *("Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish"),
    *("LeakyRelu", "Log", "Mish", "Neg", "Pow", "Reciprocal", "Round", "Selu", "Sign", "Sin"),
    *("Softplus", "Softsign", "Sqrt", "ThresholdedRelu", "Xor"),
)
RESULTS = {"Sigmoid": (0.0, 255 / 256), "Tanh": (-1.0, 127 / 128)}  # in powers of two
TFLITE = (
    *("ABS", "CEIL", "COS", "EXP", "FLOOR", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "NEG"),
    *("POW", "ROUND", "RSQRT", "SIN", "SQRT", "TANH"),
)
RULES = Rules(
    calls={
        **{name: Rule(unary(function)) for name, function in FUNCTIONS.items()},
        **{name: Rule(joint_only(function, "a comparison")) for name, function in TESTS.items()},
        "relax.logical_not": Rule(unary(plain(np.logical_not))),
        "relax.power": Rule(joint_only(np.power, "a power")),
        "relax.where": Rule(joint_only(chosen, "a choice", 3)),
    },
    onnx={
        **{name: Onnx(pointwise=True) for name in ONNX},
        **{name: Onnx(pointwise=True, results=results) for name, results in RESULTS.items()},
        "Celu": Onnx(celu, pointwise=True),
    },
    tflite={
        **{name: Tflite() for name in TFLITE},
        **{kind: Tflite(compared(name)) for kind, name in TFLITE_TESTS.items()},
        "ELU": Tflite(elu),
        "GELU": Tflite(gelu_of_options),
        **dict.fromkeys(("SELECT", "SELECT_V2"), Tflite(select)),
        "SQUARE": Tflite(square),
    },
)
