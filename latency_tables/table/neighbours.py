# SPDX-License-Identifier: Apache-2.0
"""Which rows of a table can be compared: families of operators, and their sizes.

    key = family + sizes        family: kind, ISA, types, kernel, stride, padding, bits, ...
                                sizes:  dimensions of the first input, and channels of the output

A further input is part of the family by how it relates to the sizes ("the same shape", "one number
per channel"), and so is a window as large as the map.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.opkey import OpKey

OUTPUT_SIZES = ("out_channels", "out_features")
MAP = ("batch", "height", "width", "channels")
NAMES = {4: MAP, 2: ("batch", "features")}


@dataclass(frozen=True, slots=True)
class Point:
    """A row as its neighbours see it; ``units`` is a rough measure of its work: multiplications,
    and elements read and written."""

    key: OpKey
    family: str
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    units: int
    cycles: float


def point(key: OpKey, cycles: float) -> Point:
    op, first = key.operator(), key.input_shapes[0]
    output = op.output_shape(*key.input_shapes)
    names = NAMES.get(len(first)) or tuple(f"axis {axis}" for axis in range(len(first)))
    attributes = json.loads(key.attributes)
    grown = [name for name in OUTPUT_SIZES if name in attributes]
    sizes = (*first, *(int(attributes.pop(name)) for name in grown))
    if len(first) == 4 and attributes.get("kernel") == list(first[1:3]):
        attributes["kernel"] = "the whole map"
    others = [_relation(shape, first, output) for shape in key.input_shapes[1:]]
    family = json.dumps([key.kind, key.isa, key.dtypes, len(first), others, attributes])
    elements = sum(prod(shape) for shape in (*key.input_shapes, output))
    units = op.macs(*key.input_shapes) + elements
    return Point(key, family, (*names, *grown), sizes, units, cycles)


def _relation(shape: Shape, first: Shape, output: Shape) -> str:
    if shape == first:
        return "as the first"
    if shape == output:
        return "as the output"
    if len(shape) == len(first):
        pairs = zip(shape, first, strict=True)
        return "x".join("=" if size == other else str(size) for size, other in pairs)
    return "x".join(map(str, shape))


def points(cycles: Mapping[OpKey, float]) -> list[Point]:
    return [point(key, value) for key, value in cycles.items()]


def families(items: list[Point]) -> dict[str, list[Point]]:
    groups: dict[str, list[Point]] = defaultdict(list)
    for item in items:
        groups[item.family].append(item)
    return groups


def steps(family: list[Point]) -> Iterator[tuple[str, Point, Point]]:
    """(name of a size, smaller, larger): rows that differ in this size alone, nothing between.

    Square maps are compared with square ones: "map" is their height and width.
    """
    axes: list[tuple[str, tuple[int, ...], list[Point]]] = [
        (name, (axis,), family) for axis, name in enumerate(family[0].names)
    ]
    if family[0].names[: len(MAP)] == MAP:
        axes.append(("map", (1, 2), [item for item in family if item.sizes[1] == item.sizes[2]]))
    for name, moving, items in axes:
        lines: dict[tuple[int, ...], list[Point]] = defaultdict(list)
        for item in items:
            rest = (size for axis, size in enumerate(item.sizes) if axis not in moving)
            lines[tuple(rest)].append(item)
        for line in lines.values():
            line.sort(key=lambda item: item.sizes[moving[0]])
            yield from ((name, a, b) for a, b in pairwise(line))


def size_of(item: Point, name: str) -> int:
    """The size that ``steps`` calls ``name``."""
    return item.sizes[1 if name == "map" else item.names.index(name)]
