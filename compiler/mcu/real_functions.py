# SPDX-License-Identifier: Apache-2.0
"""What an emitted network offers beside its invoke function: real numbers to its inputs and from
its outputs, as ``real_values`` defines them, and the names of its classes.

    void <name>_quantize_input(const float *x, int8_t *q)             int16_t where samples enter
    void <name>_dequantize_output(const int8_t *q, float *y)
    extern const char *const <name>_class_names[]

They need no library, and a linker that drops what nobody calls drops them. A subtraction and a
division, or a difference of integers and a product: nothing that a compiler could fuse.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from tinytailor.compiler.c_literals import float_literal, string_literal
from tinytailor.compiler.ir import Graph, Tensor
from tinytailor.compiler.mcu.interface import border_names, classes_of, entry_of
from tinytailor.compiler.real_values import Standardization
from tinytailor.compiler.training_record import TrainingRecord

PER_LINE = 6
MOST_CHANNELS = 24  # whose numbers stand in the header

ROUNDED = """\
/* v rounded half to even, plus the zero point, within {dtype}; {low} for what is not a number. */
static {dtype}_t {function}(float v, int32_t zero_point)
{{
    if (!(v > (float)({low} - zero_point))) {{
        return {low};
    }}
    if (v >= (float)({high} - zero_point)) {{
        return {high};
    }}
    int32_t whole = (int32_t)v;
    const float rest = v - (float)whole;
    if (rest > 0.5f || (rest == 0.5f && (whole & 1) != 0)) {{
        whole++;
    }} else if (rest < -0.5f || (rest == -0.5f && (whole & 1) != 0)) {{
        whole--;
    }}
    return ({dtype}_t)(whole + zero_point);
}}
"""


@dataclass(frozen=True, slots=True)
class RealFunction:
    """A function of real numbers: its name, what the header says of it, and its text."""

    symbol: str
    declaration: str
    comment: tuple[str, ...]
    text: str


def quantizer(name: str, role: str) -> str:
    """The function that makes the integers of an input of the network ``name``."""
    return f"{name}_quantize_{role}"


def dequantizer(name: str, role: str) -> str:
    """The function that makes real numbers of an output of the network ``name``."""
    return f"{name}_dequantize_{role}"


def real_functions(graph: Graph, name: str) -> list[RealFunction]:
    """One for each input, then one for each output that has a scale."""
    roles = border_names(graph)
    found = []
    for tensor in (graph.tensors[one] for one in graph.inputs):
        symbol = quantizer(name, roles[tensor.name])
        declaration = f"void {symbol}(const float *x, {tensor.dtype}_t *q)"
        real = entry_of(graph, tensor.name)
        comment = _quantizing_comment(tensor, real, graph.training)
        body = _quantizing(name, tensor, real)
        found.append(_function(symbol, declaration, comment, body))
    for tensor in (graph.tensors[one] for one in graph.outputs):
        if tensor.dtype == "int8":
            symbol = dequantizer(name, roles[tensor.name])
            declaration = f"void {symbol}(const int8_t *q, float *y)"
            scaled = f"y = {tensor.scale:.9g} * ({_difference('q', tensor.zero_point)})"
            comment = (f"The {roles[tensor.name]} as {tensor.elements} real numbers: {scaled}.",)
            found.append(_function(symbol, declaration, comment, _dequantizing(tensor)))
    return found


def real_texts(graph: Graph, name: str) -> list[str]:
    """All definitions, for the C file."""
    types = sorted({graph.tensors[one].dtype for one in graph.inputs})
    texts = [_rounding(name, dtype) for dtype in types]
    texts += [one.text for one in real_functions(graph, name)]
    names = classes_of(graph)
    if names:
        rows = "".join(f"    {string_literal(text)},\n" for text in names)
        texts.append(f"const char *const {name}_class_names[{len(names)}] = {{\n{rows}}};\n")
    return texts


def _rounded(name: str, dtype: str) -> str:
    """The function that rounds to integers of a type."""
    return f"{name}_rounded" if dtype == "int8" else f"{name}_rounded_{dtype}"


def _rounding(name: str, dtype: str) -> str:
    ends = np.iinfo(dtype)
    function = _rounded(name, dtype)
    return ROUNDED.format(function=function, dtype=dtype, low=ends.min, high=ends.max)


def _function(symbol: str, declaration: str, comment: tuple[str, ...], body: str) -> RealFunction:
    return RealFunction(symbol, declaration, comment, f"{declaration}\n{{\n{body}}}\n")


def _difference(name: str, value: float) -> str:
    return f"{name} - {value:.9g}" if value >= 0 else f"{name} + {-value:.9g}"


def _quantizing_comment(
    tensor: Tensor, real: Standardization, training: TrainingRecord | None
) -> tuple[str, ...]:
    """What x is, and what becomes of it; with the numbers of training where they are known."""
    zero = f" {'+' if tensor.zero_point >= 0 else '-'} {abs(tensor.zero_point)}"
    shape = "x".join(map(str, tensor.shape))
    lines = [f"{tensor.elements} real numbers, in the order of the input {shape}, to its integers:"]
    if real.axis is None:
        top = _difference("x", real.offset[0]) if real.offset[0] else "x"
        ratio = f"({top}) / {real.step[0]:.9g}" if real.offset[0] else f"x / {real.step[0]:.9g}"
        lines.append(f"q = round({ratio}){zero}, within {tensor.dtype}.")
    else:
        top = "(x - offset[c])" if any(real.offset) else "x"
        lines.append(f"q = round({top} / step[c]){zero}, within {tensor.dtype},")
        lines.append(f"where c counts along axis {real.axis} of the input, from 0.")
    if training is None:
        return tuple(lines)
    lines += ["", f"x is in the units of the training data, {training.data}, where", ""]
    pairs = list(zip(training.mean, training.std, strict=True))
    rows = [f"  {c:>7}  {mean:>12.6g}  {std:>12.6g}" for c, (mean, std) in enumerate(pairs)]
    lines += [f"  {'channel':>7}  {'mean':>12}  {'std':>12}", *rows[:MOST_CHANNELS]]
    if len(rows) > MOST_CHANNELS:
        lines.append(f"  and {len(rows) - MOST_CHANNELS} more, see manifest.json")
    return tuple(lines)


def _quantizing(name: str, tensor: Tensor, real: Standardization) -> str:
    def assigned(offset: str | None, step: str) -> str:
        value = "*x" if offset is None else f"(*x - {offset})"
        function = _rounded(name, tensor.dtype)
        return f"*q = {function}({value} / {step}, {tensor.zero_point});"

    shifted = any(real.offset)
    if real.axis is None:
        offset = float_literal(real.offset[0]) if shifted else None
        return _loops(
            [("i", tensor.elements)], [assigned(offset, float_literal(real.step[0]))], "x", "q"
        )
    tables = _table("offset", real.offset) if shifted else ""
    tables += _table("step", real.step)
    before, after = prod(tensor.shape[: real.axis]), prod(tensor.shape[real.axis + 1 :])
    loops = [("i", before), ("c", len(real.step)), ("k", after)]
    body = [assigned("offset[c]" if shifted else None, "step[c]")]
    return tables + _loops([loop for loop in loops if loop[1] > 1], body, "x", "q")


def _dequantizing(tensor: Tensor) -> str:
    body = f"*y = (float)(*q - ({tensor.zero_point})) * {float_literal(tensor.scale)};"
    return _loops([("i", tensor.elements)], [body], "q", "y")


def _loops(loops: list[tuple[str, int]], body: list[str], source: str, target: str) -> str:
    """Nested loops over all elements; both pointers move with the innermost."""
    lines = []
    for depth, (index, count) in enumerate(loops, 1):
        lines.append(f"{'    ' * depth}for (int {index} = 0; {index} < {count}; {index}++) {{")
    inside = "    " * (len(loops) + 1)
    lines += [f"{inside}{line}" for line in (*body, f"{source}++;", f"{target}++;")]
    lines += [f"{'    ' * depth}}}" for depth in range(len(loops), 0, -1)]
    return "\n".join(lines) + "\n"


def _table(name: str, values: tuple[float, ...]) -> str:
    texts = [float_literal(float(np.float32(value))) for value in values]
    rows = [", ".join(texts[i : i + PER_LINE]) for i in range(0, len(texts), PER_LINE)]
    body = ",\n        ".join(rows)
    return f"    static const float {name}[{len(texts)}] = {{\n        {body}\n    }};\n"
