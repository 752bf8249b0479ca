# SPDX-License-Identifier: Apache-2.0
"""Dilated convolutions, which converters take apart where the batch is free.

    pad -> each of the d images of every d-th pixel -> convolution -> interleave -> crop
                               =  pad by less -> convolution with dilation d

    SPACE_TO_BATCH_ND, CONV_2D or DEPTHWISE_CONV_2D, BATCH_TO_SPACE_ND        (H and W)
    SPACE_TO_BATCH_ND, EXPAND_DIMS, convolution, RESHAPE, BATCH_TO_SPACE_ND   (a series)

A last pixel that is cropped is one whose padding may go, as the convolution is VALID. Where the
pattern does not fit, the operators stay and are refused by their names.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.tflite.arguments import options
from tinytailor.compiler.frontend.tflite.constants import stored
from tinytailor.compiler.frontend.tflite.model_file import operator_name, scale_of

VALID = 1  # of tflite.Padding
TABLES = {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}
STRIDES, DILATIONS = ("StrideH", "StrideW"), ("DilationHFactor", "DilationWFactor")
KEPT = ("Padding", "FusedActivationFunction")


def rewrite(model: Any) -> None:
    """Replace, in place, the operators of each pattern of a ModelView."""
    subgraph = model.subgraph
    readers = Counter(
        operator.Inputs(i)
        for operator in subgraph.operators
        for i in range(operator.InputsLength())
    )
    readers.update(subgraph.Outputs(i) for i in range(subgraph.OutputsLength()))
    by_input = {op.Inputs(0): op for op in subgraph.operators if op.InputsLength()}
    new: dict[int, list[Any]] = {}  # by the identity of the first operator of a pattern
    gone: set[int] = set()
    for operator in subgraph.operators:
        if operator_name(model, operator) != "SPACE_TO_BATCH_ND":
            continue
        chain = [operator]
        while len(chain) < 5 and operator_name(model, chain[-1]) != "BATCH_TO_SPACE_ND":
            result = chain[-1].Outputs(0)
            if readers[result] != 1 or result not in by_input:
                break
            chain.append(by_input[result])
        found = replacement(model, chain)
        if found is not None:
            new[id(operator)] = found
            gone.update(id(old) for old in chain)
    subgraph.operators = [
        one
        for operator in subgraph.operators
        for one in new.get(id(operator), [] if id(operator) in gone else [operator])
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Dilated:
    """A pattern that fits: kind and new options of the convolution, the padding of each axis, and
    of a series the axis that EXPAND_DIMS adds, else 0."""

    kind: str
    options: dict[str, int]
    padding: np.ndarray
    unit: int


def replacement(model: Any, chain: list[Any]) -> list[Any] | None:
    """The operators in the place of ``chain``; None if it is no dilated convolution."""
    from tinytailor.compiler.frontend.tflite.model_view import OperatorView

    found = fitting(model, chain)
    if found is None:
        return None
    first, last, convolution = chain[0], chain[-1], chain[2 if found.unit else 1]
    source, result, operators = first.Inputs(0), last.Outputs(0), []
    if found.padding.any():
        reads = [source, model.add(first.Inputs(2), found.padding)]
        source = first.Outputs(0)
        operators.append(OperatorView(first, "PAD", reads, [source], ("PadOptions", {})))
    if found.unit:
        reads = [source, chain[1].Inputs(1)]
        source = chain[1].Outputs(0)
        operators.append(OperatorView(chain[1], "EXPAND_DIMS", reads, [source]))
    reads = [source, *(convolution.Inputs(i) for i in range(1, convolution.InputsLength()))]
    writes = [convolution.Outputs(0) if found.unit else result]
    table = (TABLES[found.kind], found.options)
    operators.append(OperatorView(convolution, found.kind, reads, writes, table))
    if found.unit:
        dims = ("SqueezeOptions", {"SqueezeDims": [found.unit]})
        operators.append(OperatorView(chain[3], "SQUEEZE", writes, [result], dims))
    return operators


def fitting(model: Any, chain: list[Any]) -> Dilated | None:
    tensors, kinds = model.subgraph.tensors, [operator_name(model, op) for op in chain]
    series = len(chain) == 5 and (kinds[1], kinds[3]) == ("EXPAND_DIMS", "RESHAPE")
    place = 2 if series else 1
    if kinds[-1] != "BATCH_TO_SPACE_ND" or not (series or len(chain) == 3):
        return None
    first, convolution, last = chain[0], chain[place], chain[-1]
    if kinds[place] not in TABLES:
        return None
    read = [first.Inputs(1), first.Inputs(2), last.Inputs(1), last.Inputs(2)]
    read += [chain[1].Inputs(1)] if series else []
    known = [array for array in (stored(model, tensors[i]) for i in read) if array is not None]
    if len(known) < len(read):
        return None
    block, pads, after, crops, *axis = known
    unit = int(axis[0].reshape(-1)[0]) % 4 if series else 0
    given = options(convolution, TABLES[kinds[place]])
    axes = 1 if series else 2
    fits = (
        all(getattr(given, name)() == 1 for name in (*STRIDES, *DILATIONS))
        and given.Padding() == VALID
        and block.shape == (axes,)
        and np.array_equal(block, after)
        and pads.shape == crops.shape == (axes, 2)
        and (pads >= crops).all()
        and (crops >= 0).all()
        and (block >= 1).all()
        and unit in ((1, 2) if series else (0,))
        and scale_of(tensors[convolution.Outputs(0)]) == scale_of(tensors[last.Outputs(0)])
    )
    if not fits:
        return None
    dilation = [int(d) for d in block]
    if series:
        dilation.insert(unit - 1, 1)
    kept = ("DepthMultiplier",) if kinds[place] == "DEPTHWISE_CONV_2D" else ()
    fields = {name: int(getattr(given, name)()) for name in (*STRIDES, *KEPT, *kept)}
    fields |= dict(zip(DILATIONS, dilation, strict=True))
    padding = np.zeros((axes + 2, 2), pads.dtype)
    padding[1:-1] = pads - crops
    return Dilated(kinds[place], fields, padding, unit)
