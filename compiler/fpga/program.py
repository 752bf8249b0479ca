# SPDX-License-Identifier: Apache-2.0
"""A chain of layers as the engine's program: steps, descriptors, packed weights, memory map.

A step is what the engine streams a map through once: an optional 1x1 convolution, then an optional
deformable layer. A convolution whose only reader is a deformable layer shares its step.

Feature memory: 16-byte words of 16 channels, NHWC, channels padded to a multiple of 16; the graph's
input first, then the output of every step in its own place. Padded channels have weight,
bias and multiplier 0 and are never read with a weight other than 0.

Weight memory, 64-bit little-endian words, the sections of a step one after the other:

    1x1          [OC/16][IC/16][16 out] words of 16 four-bit weights (in), then [OC] channel words
    deformable   [C/16] words of offset weights, 1 channel word,
                 [C/16][9] words of weights, then [C] channel words

Four-bit weights are two per byte, the first in the low bits. A channel word is the int32 bias
below the int32 multiplier. CoDeNet packs a 16-bit scale and bias instead; 32 bits keep the integers
of the Graph's ``Requant``, which a 16-bit scale cannot express, for 4 bytes more per channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinytailor.compiler.ir import Graph, Node, Tensor
from tinytailor.compiler.ops.conv2d import Conv2d
from tinytailor.compiler.ops.square_deform_dw import SquareDeformDW
from tinytailor.compiler.requantization import Requant
from tinytailor.targets.fpga import LANES

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
    "pointwise_shift",
    "pointwise_zero_point",
    "pointwise_low",
    "pointwise_high",
    "offset_shift",
    "deform_border",
    "deform_shift",
    "deform_zero_point",
    "deform_low",
    "deform_high",
)
FLAG_POINTWISE, FLAG_DEFORM = 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One pass of the engine; at least one of the two nodes is there."""

    pointwise: Node | None
    deform: Node | None
    source: Tensor
    sink: Tensor

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(node for node in (self.pointwise, self.deform) if node is not None)

    @property
    def pixels(self) -> int:
        return self.source.shape[1] * self.source.shape[2]

    @property
    def in_blocks(self) -> int:
        return blocks(self.source.shape[3])

    @property
    def out_blocks(self) -> int:
        return blocks(self.sink.shape[3])


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


def blocks(channels: int) -> int:
    """Words of 16 channels that hold one pixel."""
    return -(-channels // LANES)


def plan_steps(graph: Graph, *, fuse: bool = True) -> tuple[Step, ...]:
    """The steps of a checked chain; ``fuse=False`` gives every node its own."""
    steps: list[Step] = []
    for node in graph.nodes:
        source, sink = graph.tensors[node.inputs[0]], graph.tensors[node.output]
        if isinstance(node.op, Conv2d):
            steps.append(Step(node, None, source, sink))
        elif fuse and steps and steps[-1].deform is None:
            steps[-1] = Step(steps[-1].pointwise, node, steps[-1].source, sink)
        else:
            steps.append(Step(None, node, source, sink))
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
        "flags": FLAG_POINTWISE * (step.pointwise is not None)
        | FLAG_DEFORM * (step.deform is not None),
        "height": step.source.shape[1],
        "width": step.source.shape[2],
        "in_blocks": step.in_blocks,
        "out_blocks": step.out_blocks,
        "source": source,
        "sink": sink,
        "weights": weight_word,
    }
    if step.pointwise is not None and isinstance(step.pointwise.op, Conv2d):
        values |= _requant_fields("pointwise", step.pointwise.op.requant)
    if step.deform is not None and isinstance(step.deform.op, SquareDeformDW):
        op = step.deform.op
        values |= _requant_fields("deform", op.requant)
        values |= {"offset_shift": op.offset_shift, "deform_border": op.input_zero_point}
    words = np.zeros(STEP_WORDS, np.int32)
    for field, value in values.items():
        words[FIELDS.index(field)] = value
    return words


def _requant_fields(prefix: str, requant: Requant) -> dict[str, int]:
    return {
        f"{prefix}_shift": requant.shift,
        f"{prefix}_zero_point": requant.zero_point,
        f"{prefix}_low": requant.low,
        f"{prefix}_high": requant.high,
    }


def _weights(step: Step) -> np.ndarray:
    """The uint64 words of a step, in the order of the module docstring."""
    parts: list[np.ndarray] = []
    if step.pointwise is not None:
        constants = step.pointwise.constants
        ob, ib = step.out_blocks, step.in_blocks
        weight = constants["weight"][:, 0, 0, :]
        padded = np.zeros((ob * LANES, ib * LANES), np.int8)
        padded[: weight.shape[0], : weight.shape[1]] = weight
        tiles = padded.reshape(ob, LANES, ib, LANES).transpose(0, 2, 1, 3)
        parts += [_nibbles(tiles), _channels(constants["bias"], constants["multiplier"])]
    if step.deform is not None:
        constants = step.deform.constants
        offset = _padded(constants["offset_weight"])
        taps = _padded(constants["weight"].reshape(9, -1)).reshape(9, step.out_blocks, LANES)
        parts += [
            _nibbles(offset.reshape(-1, LANES)),
            _channel_words(constants["offset_bias"], constants["offset_multiplier"]),
            _nibbles(taps.transpose(1, 0, 2)),
            _channels(constants["bias"], constants["multiplier"]),
        ]
    return np.concatenate(parts)


def _padded(array: np.ndarray) -> np.ndarray:
    """The last axis filled up with zeros to a multiple of 16."""
    missing = blocks(array.shape[-1]) * LANES - array.shape[-1]
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])


def _nibbles(values: np.ndarray) -> np.ndarray:
    """(..., 16) values in -8..7 to one uint64 per 16, the first in the lowest four bits."""
    low_bits = (values.reshape(-1, LANES).astype(np.int64) & 15).astype(np.uint64)
    shifts = np.arange(LANES, dtype=np.uint64) * np.uint64(4)
    return np.bitwise_or.reduce(low_bits << shifts, axis=1)


def _channels(bias: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    return _channel_words(_padded(bias), _padded(multiplier))


def _channel_words(bias: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    low = bias.astype(np.int32).view(np.uint32).astype(np.uint64)
    high = multiplier.astype(np.int32).view(np.uint32).astype(np.uint64)
    return low | (high << np.uint64(32))
