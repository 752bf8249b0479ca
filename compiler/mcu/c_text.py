# SPDX-License-Identifier: Apache-2.0
"""The C text of a program: constants, layer functions, and the calls of those."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tinytailor.compiler.c_literals import float_literal
from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.kernels.c_function import Kernel
from tinytailor.compiler.mcu.comments import comment_text
from tinytailor.compiler.mcu.program import Address, Program

# Of every emitted C file.
MACROS = """\
/* Layers stay functions of their own, so that a profiler can tell them apart. */
#if defined(__clang__)
#define TT_LAYER static __attribute__((noinline))
#elif defined(__GNUC__)
#define TT_LAYER static __attribute__((noipa))
#else
#define TT_LAYER static
#endif
#define TT_ALIGNED(n) __attribute__((aligned(n)))
/* Always, so that the cost of a layer does not depend on what else is in the file. */
#define TT_INLINE static inline __attribute__((always_inline))
/* Hides where a pointer comes from: the code of a layer shall not depend on its constants or on
 * where in the arena it works. */
#define TT_OPAQUE(p) __asm__("" : "+r"(p))
"""

# Of those with layers in float: they are verified with every product and sum rounded by itself.
# gcc takes the pragma for one that it does not know.
FLOAT_MACROS = """\
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif
"""

Array = tuple[str, bytes]  # type and content of a constant array
_PER_LINE = {"int8": 20, "uint8": 20, "int16": 12, "int32": 8, "float32": 6}


def content(array: np.ndarray) -> Array:
    return array.dtype.name, array.tobytes()


def c_type(dtype: str) -> str:
    return "float" if dtype == "float32" else f"{dtype}_t"


def array_text(name: str, array: np.ndarray) -> str:
    """A constant array in C, word aligned so that words of it can be loaded."""
    ctype = c_type(array.dtype.name)
    if array.dtype == np.float32:
        values = [float_literal(v) for v in array.ravel()]
    else:
        values = [str(int(v)) for v in array.ravel()]
        values = ["INT32_MIN" if v == "-2147483648" else v for v in values]
    step = _PER_LINE[array.dtype.name]
    rows = [", ".join(values[i : i + step]) for i in range(0, len(values), step)]
    body = ",\n    ".join(rows)
    return f"static const TT_ALIGNED(4) {ctype} {name}[{len(values)}] = {{\n    {body}\n}};"


def code_text(kernel: Kernel) -> str:
    """The function that does the work, and the record of constants it takes.

    Who calls it hides from the compiler which record that is: with the values in hand it makes
    other code for the same operator, and what a table says would not hold for all weights.
    """
    fields = [f"    const {c_type(a.dtype.name)} *{role};" for role, a in kernel.constants.items()]
    fields += [f"    int32_t {name};" for name in kernel.parameters]
    record = "\n".join((f"struct {kernel.code} {{", *fields, "};"))
    head = f"TT_LAYER void {kernel.code}({_parameters(kernel, 'const struct ' + kernel.code)})"
    loads = [
        f"    const {c_type(array.dtype.name)} *{role} = constants->{role};"
        for role, array in kernel.constants.items()
    ]
    loads += [f"    const int32_t {name} = constants->{name};" for name in kernel.parameters]
    body = "\n".join((*loads, *kernel.body))
    return f"{record}\n\n{head}\n{{\n{body}\n}}\n"


def layer_text(
    kernel: Kernel, comment: str, known: dict[Array, str], storage: str = "TT_LAYER"
) -> str:
    """Constants of a layer, but for those that are ``known`` under another name, and its function.

    The names of the new ones are added to ``known``.
    """
    head = f"/* {comment} */\n{storage} void {kernel.symbol}({_parameters(kernel)})"
    if not kernel.has_record:
        body = "\n".join(kernel.body)
        return f"{head}\n{{\n{body}\n}}\n"
    parts, values = [], []
    for role, array in kernel.constants.items():
        name = known.setdefault(content(array), f"{kernel.symbol}_{role}")
        values.append(f"    .{role} = {name},")
        if name == f"{kernel.symbol}_{role}":
            parts.append(array_text(name, array))
    values += [f"    .{parameter} = {value}," for parameter, value in kernel.parameters.items()]
    record = f"{kernel.symbol}_constants"
    fields = "\n".join(values)
    parts.append(f"static const struct {kernel.code} {record} = {{\n{fields}\n}};")
    arguments = ", ".join((*_arguments(kernel), "constants"))
    hidden = f"    const struct {kernel.code} *constants = &{record};\n    TT_OPAQUE(constants);"
    parts.append(f"{head}\n{{\n{hidden}\n    {kernel.code}({arguments});\n}}")
    return "\n\n".join(parts) + "\n"


def _arguments(kernel: Kernel) -> list[str]:
    names = [f"x{i}" for i in range(len(kernel.input_shapes))]
    return [*names, "y", *(["scratch"] if kernel.scratch_bytes else [])]


def _parameters(kernel: Kernel, record: str = "") -> str:
    """Inputs, output, scratch if there is some, and the constants as a pointer to ``record``."""
    types = {f"x{i}": f"const {dtype}_t *x{i}" for i, dtype in enumerate(kernel.input_dtypes)}
    types |= {"y": f"{kernel.output_dtype}_t *y", "scratch": "uint8_t *scratch"}
    parameters = [types[name] for name in _arguments(kernel)]
    return ", ".join((*parameters, *([f"{record} *constants"] if record else [])))


def layer_texts(program: Program) -> list[str]:
    """All layers in order, shared code before the first that uses it."""
    texts: list[str] = []
    arrays: dict[Array, str] = {}
    known: set[str] = set()
    users: dict[str, list[str]] = {}
    for layer in program.layers:
        users.setdefault(layer.kernel.code, []).append(layer.kernel.symbol)
    for layer in program.layers:
        kernel = layer.kernel
        text = layer_text(kernel, describe(program.graph, layer.node), arrays)
        if kernel.has_record and kernel.code not in known:
            known.add(kernel.code)
            of = "\n * ".join(["The code of", *users[kernel.code]])
            text = f"/* {of}\n */\n{code_text(kernel)}\n{text}"
        texts.append(text)
    return texts


def macros(graph: Graph) -> str:
    return MACROS + (FLOAT_MACROS if float_layers(graph) else "")


def float_layers(graph: Graph) -> list[dict[str, object]]:
    """The layers that compute in float, with the operators of the model that they are."""
    return [
        {"name": node.name, "operators": list(node.op.in_float())}
        for node in graph.nodes
        if node.op.in_float()
    ]


def helper_texts(kernels: Iterable[Kernel]) -> list[str]:
    """The C helpers of all kernels, each once, in order of first definition."""
    texts: dict[str, str] = {}
    for kernel in kernels:
        texts.update(kernel.helpers)
    return list(texts.values())


def dims(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape[1:] if len(shape) > 1 else shape))


def describe(graph: Graph, node: Node) -> str:
    """One line about a layer: what, from which shapes to which, and its work."""
    inputs = " + ".join(dims(shape) for shape in graph.input_shapes(node))
    output = dims(graph.tensors[node.output].shape)
    macs = graph.node_macs(node)
    work = f", {macs:,} MACs" if macs else ""
    details = " ".join(
        f"{key} {'x'.join(map(str, value))}"
        for key, value in node.op.key_attributes().items()
        if key in ("kernel", "stride", "padding", "dilation") and any(v > 1 for v in value)
    )
    name = comment_text(node.name)
    details = comment_text(" ".join(node.op.in_float())) or details
    return f"{name}: {node.op.kind} {details + ', ' if details else ''}{inputs} -> {output}{work}"


def calls(program: Program) -> list[str]:
    """The body of the invoke function: one call a line, in execution order."""
    lines = []
    for layer in program.layers:
        arguments = [
            _cast(address, f"const {dtype}_t *")
            for address, dtype in zip(layer.inputs, layer.kernel.input_dtypes, strict=True)
        ]
        arguments.append(_cast(layer.output, f"{layer.kernel.output_dtype}_t *"))
        if layer.scratch is not None:
            arguments.append(str(layer.scratch))
        lines.append(f"{layer.kernel.symbol}({', '.join(arguments)});")
    return lines


def _cast(address: Address, ctype: str) -> str:
    if address.is_parameter:
        return str(address)
    return f"({ctype})({address})" if address.offset else f"({ctype}){address}"
