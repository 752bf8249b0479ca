# SPDX-License-Identifier: Apache-2.0
"""ONNX operators that are others in another notation, rewritten as those:

    GatherND(x, places)             Reshape, if places has more than one axis of x; Gather
    Einsum("bct,cd->bdt", x, w)     Transpose, MatMul, Transpose
    MatMul(w, x)                    MatMul(x', w')', with ' for Transpose of the last axes

Places and weights must be constants, real ones: products are rewritten before quantization. A node
that cannot be rewritten stays as it is, and one that is written carries the name and the operator
of the user's node.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.onnx.constants import known_shapes
from tinytailor.compiler.frontend.onnx.qoperator import Writer, attributes_of
from tinytailor.compiler.frontend.report import Declined
from tinytailor.compiler.ir import Shape


def rewrite(model: Any, operators: Collection[str]) -> None:
    """Replace, in place, every node whose operator is one of these, all in ``REWRITES``."""
    if not any(node.op_type in operators for node in model.graph.node):
        return
    writer, shapes = Writer(model), known_shapes(model)
    for node in list(model.graph.node):
        asked = node.op_type in operators and node.domain in ("", "ai.onnx")
        one = REWRITES[node.op_type] if asked else None
        before = len(writer.nodes)
        try:
            if one is not None:
                one(node, writer, shapes)
        except Declined:
            del writer.nodes[before:]
        if len(writer.nodes) == before:
            writer.keep(node)
            continue
        writer.signed(node, writer.nodes[before:])
        writer.nodes[-1].output[0] = node.output[0]
    del model.graph.node[:]
    model.graph.node.extend(writer.nodes)
    model.graph.initializer.extend(writer.constants)


def shape_of(name: str, shapes: Mapping[str, Shape]) -> Shape:
    if name not in shapes:
        raise Declined(f"the shape of {name} is not known")
    return shapes[name]


def reshaped(writer: Writer, x: str, shape: Sequence[int]) -> str:
    wanted = writer.constant(f"{x}_shape", np.array(shape, np.int64))
    return writer.add("Reshape", [x, wanted], f"{x}_reshaped")


def gather_nd(node: Any, writer: Writer, shapes: Mapping[str, Shape]) -> None:
    """Each row of ``places`` is a place along the first axes, which become one."""
    x, name = node.input
    places, shape = writer.value(name, "places"), shape_of(x, shapes)
    if attributes_of(node).get("batch_dims", 0) or places.size == 0:
        raise Declined("it has batch axes, or takes nothing")
    count = places.shape[-1]
    sizes = np.array(shape[:count])
    if np.any(places < -sizes) or np.any(places >= sizes):
        raise Declined("its places lie outside")
    rows = np.ravel_multi_index(tuple(np.moveaxis(places % sizes, -1, 0)), tuple(sizes))
    if count > 1:
        x = reshaped(writer, x, (prod(shape[:count]), *shape[count:]))
    index = writer.constant(f"{name}_rows", np.asarray(rows, np.int64))
    writer.add("Gather", [x, index], f"{node.output[0]}_rows", axis=0)


def weights_first(node: Any, writer: Writer, shapes: Mapping[str, Shape]) -> None:
    """Each column of x is a row of the weights' layer."""
    w, x = node.input
    weight, rank = writer.value(w, "weight"), len(shape_of(x, shapes))
    if weight.ndim != 2 or rank < 2:
        raise Declined("its weights are no matrix")
    order = [*range(rank - 2), rank - 1, rank - 2]
    turned = writer.add("Transpose", [x], f"{x}_turned", perm=order)
    table = writer.constant(f"{w}_table", weight.T)
    y = writer.add("MatMul", [turned, table], f"{node.output[0]}_product")
    writer.add("Transpose", [y], f"{y}_turned", perm=order)


def einsum(node: Any, writer: Writer, shapes: Mapping[str, Shape]) -> None:
    """The product of a tensor and constant weights: the letters that both have and the result
    lacks are summed over, at the end of the tensor and in front of the weights."""
    a, b, result = letters_of(node)
    x, w = node.input
    if x in writer.arrays:
        a, b, x, w = b, a, w, x
    weight, sizes = writer.value(w, "weight"), dict(zip(a, shape_of(x, shapes), strict=True))
    summed = [letter for letter in a if letter not in result]
    rows, features = ([c for c in part if c not in summed] for part in (a, b))
    kept = [*rows, *features]
    if not summed or not set(summed) <= set(b) or sorted(kept) != sorted(result):
        raise Declined("it is no product of rows and weights")
    sizes |= dict(zip(b, weight.shape, strict=True))
    table = weight.transpose([b.index(letter) for letter in (*summed, *features)])
    inner, outer = (prod(sizes[c] for c in part) for part in (summed, features))
    if (*rows, *summed) != tuple(a):
        order = [a.index(letter) for letter in (*rows, *summed)]
        x = writer.add("Transpose", [x], f"{x}_turned", perm=order)
    if len(summed) > 1:
        x = reshaped(writer, x, [*(sizes[c] for c in rows), inner])
    operand = writer.constant(f"{w}_table", table.reshape(inner, outer))
    y = writer.add("MatMul", [x, operand], f"{node.output[0]}_product")
    if len(features) != 1:
        y = reshaped(writer, y, [sizes[letter] for letter in kept])
    if tuple(kept) != tuple(result):
        writer.add("Transpose", [y], f"{y}_turned", perm=[kept.index(c) for c in result])


def letters_of(node: Any) -> tuple[str, str, str]:
    """Of "ab,bc->ac" the three parts."""
    equation = attributes_of(node)["equation"].decode().replace(" ", "")
    terms, _, result = equation.partition("->")
    parts = terms.split(",")
    plain = [len(set(part)) == len(part) and part.isalpha() for part in (*parts, result)]
    if len(parts) != 2 or not all(plain):
        raise Declined(f"{equation} is no product of two tensors")
    return parts[0], parts[1], result


REWRITES: Mapping[str, Callable[[Any, Writer, Mapping[str, Shape]], None]] = {
    "Einsum": einsum,
    "GatherND": gather_nd,
    "MatMul": weights_first,
}
