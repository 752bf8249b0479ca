# SPDX-License-Identifier: Apache-2.0
"""The text of an emitted network: constants, layer functions, and the function that calls them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

import jinja2
import numpy as np

from tinytailor.compiler.ir import Graph, Node, Tensor
from tinytailor.compiler.kernels.c_function import (
    PARAMETER_BYTES,
    POINTER_BYTES,
    Kernel,
    print_kernel,
)
from tinytailor.compiler.kernels.registry import choose, lower
from tinytailor.compiler.kernels.variant import Choice
from tinytailor.compiler.mcu.comments import comment_text
from tinytailor.compiler.memory.aliasing import computing, places
from tinytailor.compiler.memory.plan import MemoryPlan, plan_kernels, scratch_name

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


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A graph with its kernels by node name (none for views) and its memory plan."""

    name: str
    graph: Graph
    kernels: Mapping[str, Kernel]
    plan: MemoryPlan

    @property
    def constant_bytes(self) -> int:
        """In flash, where equal arrays lie once."""
        kernels = self.kernels.values()
        arrays = [array for kernel in kernels for array in kernel.constants.values()]
        words = PARAMETER_BYTES * sum(len(kernel.parameters) for kernel in kernels)
        once = {content(array) for array in arrays}
        return words + POINTER_BYTES * len(arrays) + sum(len(data) for _, data in once)


def lower_node(
    graph: Graph, node: Node, isa: str, symbol: str, choice: Choice | None = None
) -> Kernel:
    """The C function of one node under the name ``symbol``, by the preferred kernel unless told."""
    shapes = graph.input_shapes(node)
    choice = choice or choose(node.op, shapes, isa)
    lowered = lower(node.op, shapes, node.constants, isa, choice)
    return print_kernel(lowered, choice, symbol, shapes, graph.tensors[node.output].shape)


def layer_symbols(graph: Graph, name: str) -> dict[str, str]:
    """Name of each node that runs -> its C function."""
    running = {node.name for node in computing(graph)}
    return {
        node.name: f"{name}_{index:02d}_{node.op.kind}"
        for index, node in enumerate(graph.nodes)
        if node.name in running
    }


def lower_graph(graph: Graph, isa: str, name: str) -> Network:
    """All nodes of ``graph`` as C functions ``<name>_<index>_<kind>``, and the arena."""
    symbols = layer_symbols(graph, name)
    kernels = {
        node.name: lower_node(graph, node, isa, symbols[node.name])
        for node in graph.nodes
        if node.name in symbols
    }
    kinds = {node.name: node.op.kind for node in graph.nodes}
    arena = plan_kernels(graph, places(graph), kernels)
    return Network(name, graph, share_code(name, kernels, kinds), arena)


def share_code(
    name: str, kernels: Mapping[str, Kernel], kinds: Mapping[str, str]
) -> dict[str, Kernel]:
    """Kernels of equal text get one function, ``<name>_<kind>_<number>``."""
    shared: list[Kernel] = []
    result = {}
    for node, kernel in kernels.items():
        known = next((other for other in shared if kernel.same_code(other)), None)
        if known is None and kernel.has_record:
            count = 1 + sum(other.code.startswith(f"{name}_{kinds[node]}_") for other in shared)
            known = replace(kernel, code=f"{name}_{kinds[node]}_{count}")
            shared.append(known)
        result[node] = replace(kernel, code=known.code) if known else kernel
    return result


@lru_cache
def environment() -> jinja2.Environment:
    """Templates of this package; an undefined name is an error."""
    folder = files("tinytailor.compiler.mcu") / "templates"
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(folder)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["comment"] = comment_text
    return templates


def content(array: np.ndarray) -> Array:
    return array.dtype.name, array.tobytes()


def c_type(dtype: str) -> str:
    return "float" if dtype == "float32" else f"{dtype}_t"


def array_text(name: str, array: np.ndarray) -> str:
    """A constant array in C, word aligned so that words of it can be loaded."""
    ctype = c_type(array.dtype.name)
    if array.dtype == np.float32:
        from tinytailor.compiler.kernels.bricks.render_float import literal

        values = [literal(v) for v in array.ravel()]
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
    types = {"y": f"{kernel.output_dtype}_t *y", "scratch": "uint8_t *scratch"}
    parameters = [types.get(name, f"const int8_t *{name}") for name in _arguments(kernel)]
    return ", ".join((*parameters, *([f"{record} *constants"] if record else [])))


def layer_texts(network: Network) -> list[str]:
    """All layers in order, shared code before the first that uses it."""
    texts: list[str] = []
    arrays: dict[Array, str] = {}
    known: set[str] = set()
    users: dict[str, list[str]] = {}
    for one in network.kernels.values():
        users.setdefault(one.code, []).append(one.symbol)
    for node in network.graph.nodes:
        kernel = network.kernels.get(node.name)
        if kernel is None:
            continue
        text = layer_text(kernel, describe(network.graph, node), arrays)
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


def pointers(network: Network) -> dict[str, str]:
    """Tensor name -> C expression of its address."""
    graph = network.graph
    roles = border_names(graph)
    result = {}
    for tensor, at in network.plan.place.items():
        if at.home in roles:
            result[tensor] = f"{roles[at.home]} + {at.offset}" if at.offset else roles[at.home]
        else:
            offset = network.plan.offsets[at.home] + at.offset
            result[tensor] = f"arena + {offset}" if offset else "arena"
    return result


def border_names(graph: Graph) -> dict[str, str]:
    """Graph inputs and outputs -> parameter names of the invoke function."""
    names = {}
    for role, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        for i, tensor in enumerate(tensors):
            names[tensor] = role if len(tensors) == 1 else f"{role}_{i}"
    return names


def invoke_parameters(graph: Graph) -> str:
    roles = border_names(graph)
    parts = [f"const int8_t *{roles[t]}" for t in graph.inputs]
    parts += [f"{graph.tensors[t].dtype}_t *{roles[t]}" for t in graph.outputs]
    return ", ".join(parts)


def calls(network: Network) -> list[str]:
    """The body of the invoke function: one call a line, in execution order."""
    address, roles = pointers(network), set(border_names(network.graph).values())

    def cast(expression: str, ctype: str) -> str:
        if expression in roles:
            return expression
        return f"({ctype})({expression})" if " " in expression else f"({ctype}){expression}"

    lines = []
    for node in network.graph.nodes:
        kernel = network.kernels.get(node.name)
        if kernel is None:
            continue
        arguments = [cast(address[t], "const int8_t *") for t in node.inputs]
        arguments.append(cast(address[node.output], f"{kernel.output_dtype}_t *"))
        if kernel.scratch_bytes:
            offset = network.plan.offsets[scratch_name(node.name)]
            arguments.append(f"arena + {offset}" if offset else "arena")
        lines.append(f"{kernel.symbol}({', '.join(arguments)});")
    return lines


def border_records(graph: Graph, names: Sequence[str]) -> list[dict[str, object]]:
    """What headers and manifests say about graph inputs or outputs."""
    roles = border_names(graph)
    return [_border_record(graph.tensors[name], roles[name]) for name in names]


def _border_record(tensor: Tensor, role: str) -> dict[str, object]:
    return {
        "name": tensor.name,
        "role": role,
        "macro": role.upper(),
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "scale": float(tensor.scale),
        "zero_point": tensor.zero_point,
        "bytes": tensor.bytes,
    }
