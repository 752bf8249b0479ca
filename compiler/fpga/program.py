# SPDX-License-Identifier: Apache-2.0
"""A chain of layers as the engine's program: steps, descriptors, packed weights, memory map.

A step is what the engine streams a map through once: at most one node for each unit, in the order
of the units. A node whose only reader is a node of a later unit shares its step.

Feature memory: 16-byte words of 16 channels, NHWC, channels padded to a multiple of 16; the graph's
input first, then the output of every step in its own place. Padded channels have weight,
bias and multiplier 0 and are never read with a weight other than 0.

Weight memory, 64-bit little-endian words, the sections of a step one after the other, each as its
unit packs it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinytailor.compiler.fpga.step import Step
from tinytailor.compiler.fpga.units import UNITS, unit_of
from tinytailor.compiler.ir import Graph

STEP_WORDS = 32
FIELDS = (
    "flags",
    "height",
    "width",
    "in_blocks",
    "out_blocks",
    "source",
    "sink",
    "weights",
    *(field for unit in UNITS for field in unit.fields),
)
FLAGS = {unit.name: 1 << index for index, unit in enumerate(UNITS)}
_ORDER = {unit.name: index for index, unit in enumerate(UNITS)}


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What the host loads: ``descriptors`` and ``weights`` as little-endian bytes.

    ``map_words`` is the size of feature memory; the input lies at word 0, the result at ``result``.
    """

    steps: tuple[Step, ...]
    descriptors: bytes
    weights: bytes
    map_words: int
    result: int


def plan_steps(graph: Graph, *, fuse: bool = True) -> tuple[Step, ...]:
    """The steps of a checked chain; ``fuse=False`` gives every node its own."""
    steps: list[Step] = []
    for node in graph.nodes:
        unit = unit_of(node)
        assert unit is not None, node.name  # the graph was checked
        source, sink = graph.tensors[node.inputs[0]], graph.tensors[node.output]
        last = steps[-1] if steps and fuse else None
        if last is not None and all(_ORDER[name] < _ORDER[unit.name] for name in last.by_unit):
            steps[-1] = Step({**last.by_unit, unit.name: node}, last.source, sink)
        else:
            steps.append(Step({unit.name: node}, source, sink))
    return tuple(steps)


def pack(graph: Graph, *, fuse: bool = True) -> Program:
    """The program of a graph that ``limits.check`` has passed."""
    steps = plan_steps(graph, fuse=fuse)
    descriptors, sections = [], []
    source, sink, weight_word = 0, steps[0].pixels * steps[0].in_blocks, 0
    for step in steps:
        descriptors.append(_descriptor(step, source, sink, weight_word))
        section = _weights(step)
        sections.append(section)
        weight_word += section.size
        source, sink = sink, sink + step.pixels * step.out_blocks
    return Program(
        steps=steps,
        descriptors=np.stack(descriptors).astype("<i4").tobytes(),
        weights=np.concatenate(sections).astype("<u8").tobytes(),
        map_words=sink,
        result=source,
    )


def _descriptor(step: Step, source: int, sink: int, weight_word: int) -> np.ndarray:
    values = {
        "flags": sum(FLAGS[name] for name in step.by_unit),
        "height": step.source.shape[1],
        "width": step.source.shape[2],
        "in_blocks": step.in_blocks,
        "out_blocks": step.out_blocks,
        "source": source,
        "sink": sink,
        "weights": weight_word,
    }
    for unit in UNITS:
        if unit.name in step.by_unit:
            values |= unit.descriptor(step.by_unit[unit.name])
    words = np.zeros(STEP_WORDS, np.int32)
    for field, value in values.items():
        words[FIELDS.index(field)] = value
    return words


def _weights(step: Step) -> np.ndarray:
    """The uint64 words of a step."""
    present = (unit for unit in UNITS if unit.name in step.by_unit)
    return np.concatenate([unit.weights(step.by_unit[unit.name], step) for unit in present])
