# SPDX-License-Identifier: Apache-2.0
"""What a rule file declares: how calls of a model become values, and which operators of the model
files end in these calls.

    Conv       --TVM-->       relax.nn.conv2d     --rule--> Expression of a Conv2d
    PRelu      --convert-->   tinytailor.prelu    --rule--> Expression of a PRelu

Each file of this package has one ``RULES``; the package joins them. An operator of a model that is
in no table is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinytailor.compiler.frontend.graph_builder import GraphBuilder
from tinytailor.compiler.frontend.imported_values import Value
from tinytailor.compiler.frontend.relax_calls import Call

Attributes = dict[str, Any]  # of an ONNX node
OnnxConversion = Callable[[Sequence[Any], Attributes], list[Any] | None]
TfliteConversion = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """``value``: what a call stands for, or ``Declined`` with the reason.

    ``selects``: each element of the result is one of an input, or a constant border, so that
    quantizing before or behind it is the same.
    ``in_model_order``: it takes its first input as the model has it, not as a channels-last map.
    ``samples``: it reads an int16 input of the model.
    """

    value: Callable[[Call, GraphBuilder], Value]
    selects: bool = False
    in_model_order: bool = False
    samples: bool = False


@dataclass(frozen=True, slots=True)
class Onnx:
    """An ONNX operator. TVM converts it, unless ``convert`` does.

    ``convert(inputs, attributes)`` returns Relax expressions, one for each output; or None, after
    changes of the attributes perhaps, to leave the node to TVM. Whatever must be constant is read
    there; ValueError says what is not as it should be.
    ``needed``: how many of its first inputs must be there, None: all.
    ``real_parameters``: it has no integer weights, so its constants may become real numbers.

    What quantization of float models asks (compiler/quantize/plan.py): ``pointwise``, whether it is
    a function of single elements; ``keeps_scale``, whether its results are elements of its first
    input or between them; ``results``, their range if that is always the same.
    """

    convert: OnnxConversion | None = None
    needed: int | None = 1
    real_parameters: bool = False
    pointwise: bool = False
    keeps_scale: bool = False
    results: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Tflite:
    """A TFLite operator. TVM converts it, unless ``convert`` does.

    ``convert(converter, operator)``: gets TVM's converter; returns Relax expressions.
    ``options``: its table of options; ``positive``: the fields of it that TVM divides by.
    ``weights``: whether its second input are weights. ``finds``: its result are places, so that
    what it reads says whether it computes with integers.
    """

    convert: TfliteConversion | None = None
    options: str = ""
    positive: tuple[str, ...] = ()
    weights: bool = False
    finds: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What one rule file offers, by the names of calls and of operators.

    ``onnx_in_float``: what --allow-float imports besides, or imports otherwise.
    """

    calls: Mapping[str, Rule] = field(default_factory=dict)
    onnx: Mapping[str, Onnx] = field(default_factory=dict)
    tflite: Mapping[str, Tflite] = field(default_factory=dict)
    onnx_in_float: Mapping[str, Onnx] = field(default_factory=dict)
