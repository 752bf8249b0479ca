# SPDX-License-Identifier: Apache-2.0
"""The text of an emitted network: constants, layer functions, and the function that calls them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import jinja2
import numpy as np

from tinytailor.compiler.ir import Graph, Node, Tensor
from tinytailor.compiler.mcu.kernel import Kernel, print_kernel
from tinytailor.compiler.memory import MemoryPlan, plan, scratch_name
from tinytailor.compiler.ops.base import HasKernel
from tinytailor.compiler.places import computing

# Of every emitted C file.
MACROS = """\
#define TT_ALIGNED(n) __attribute__((aligned(n)))
/* Always, so that the cost of a layer does not depend on what else is in the file. */
#define TT_INLINE static inline __attribute__((always_inline))
/* Hides where a pointer comes from: the code of a layer shall not depend on its weights or on
 * where in the arena it works. */
#define TT_OPAQUE(p) __asm__("" : "+r"(p))
"""

_PER_LINE = {"int8": 20, "int32": 8}


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A graph with its kernels by node name (none for views) and its memory plan."""

    name: str
    graph: Graph
    kernels: Mapping[str, Kernel]
    plan: MemoryPlan

    @property
    def constant_bytes(self) -> int:
        return sum(kernel.constant_bytes for kernel in self.kernels.values())


def lower_node(graph: Graph, node: Node, isa: str, symbol: str) -> Kernel:
    """The C function of one node under the name ``symbol``."""
    shapes = graph.input_shapes(node)
    assert isinstance(node.op, HasKernel), node.name  # the back end has listed those without
    lowered = node.op.lower(shapes, node.constants, isa)
    return print_kernel(lowered, symbol, shapes, graph.tensors[node.output].shape)


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
    scratch = {node: kernel.scratch_bytes for node, kernel in kernels.items()}
    overlap = {node: kernel.overlap for node, kernel in kernels.items()}
    return Network(name, graph, kernels, plan(graph, scratch, overlap))


def environment() -> jinja2.Environment:
    """Templates of this package; an undefined name is an error."""
    folder = files("tinytailor.compiler.mcu") / "templates"
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(folder)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def array_text(name: str, array: np.ndarray) -> str:
    """A constant array in C, word aligned so that words of it can be loaded."""
    ctype, values = f"{array.dtype.name}_t", [str(int(v)) for v in array.ravel()]
    values = ["INT32_MIN" if v == "-2147483648" else v for v in values]
    step = _PER_LINE[array.dtype.name]
    rows = [", ".join(values[i : i + step]) for i in range(0, len(values), step)]
    body = ",\n    ".join(rows)
    return f"static const TT_ALIGNED(4) {ctype} {name}[{len(values)}] = {{\n    {body}\n}};"


def kernel_text(kernel: Kernel, comment: str, storage: str = "TT_LAYER") -> str:
    """Constants and function of a kernel.

    The compiler must not look into the constants: with their values in hand it makes other code for
    the same operator, and what a table says of an operator would not hold for all its weights.
    """
    parts = [
        array_text(f"{kernel.symbol}_{role}", array) for role, array in kernel.constants.items()
    ]
    parameters = [f"const int8_t *x{i}" for i in range(len(kernel.input_shapes))]
    parameters.append("int8_t *y")
    if kernel.scratch_bytes:
        parameters.append("uint8_t *scratch")
    head = f"{storage} void {kernel.symbol}({', '.join(parameters)})".lstrip()
    opaque = []
    for role, array in kernel.constants.items():
        opaque.append(f"    const {array.dtype.name}_t *{role} = {kernel.symbol}_{role};")
    opaque += [f"    TT_OPAQUE({role});" for role in kernel.constants]
    body = "\n".join((*opaque, *kernel.body))
    parts.append(f"/* {comment} */\n{head}\n{{\n{body}\n}}")
    return "\n\n".join(parts) + "\n"


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
    return (
        f"{node.name}: {node.op.kind} {details + ', ' if details else ''}{inputs} -> {output}{work}"
    )


def pointers(network: Network) -> dict[str, str]:
    """Tensor name -> C expression of its address."""
    graph = network.graph
    roles = border_names(graph)
    result = {}
    for tensor, at in network.plan.place.items():
        if at.home in roles:
            result[tensor] = f"{roles[at.home]} + {at.offset}" if at.offset else roles[at.home]
        else:
            result[tensor] = f"arena + {network.plan.offsets[at.home] + at.offset}"
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
    return ", ".join(parts + [f"int8_t *{roles[t]}" for t in graph.outputs])


def calls(network: Network) -> list[str]:
    """The body of the invoke function: one call a line, in execution order."""
    address, roles = pointers(network), set(border_names(network.graph).values())

    def cast(expression: str, ctype: str) -> str:
        return expression if expression in roles else f"({ctype})({expression})"

    lines = []
    for node in network.graph.nodes:
        kernel = network.kernels.get(node.name)
        if kernel is None:
            continue
        arguments = [cast(address[t], "const int8_t *") for t in node.inputs]
        arguments.append(cast(address[node.output], "int8_t *"))
        if kernel.scratch_bytes:
            offset = network.plan.offsets[scratch_name(node.name)]
            arguments.append(f"arena + {offset}")
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
