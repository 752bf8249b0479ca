# SPDX-License-Identifier: Apache-2.0
"""What the engine can run: a chain of 1x1 convolutions and SquareDeformDW layers, W4A8.

Accumulators are 24 bits wide. With int8 inputs no partial sum exceeds |bias| + 128 * sum|w|, so
the bound is checked per channel here and the hardware never wraps. A requantization shift of up to
8 keeps the reference's 64-bit product exact for such accumulators: 2^23 * 2^8 * 2^31 < 2^63.
"""

from __future__ import annotations

import numpy as np

from tinytailor.compiler.fpga.model import resources
from tinytailor.compiler.fpga.program import blocks
from tinytailor.compiler.ir import Graph, Node
from tinytailor.compiler.ops.conv2d import Conv2d
from tinytailor.compiler.ops.square_deform_dw import MAX_DILATION, SquareDeformDW
from tinytailor.targets.errors import InputError
from tinytailor.targets.fpga import Fpga

ACC_LIMIT = 2**23 - 1
MAX_SHIFT = 8
MAX_ITERATIONS = 2**31 - 1  # loop counters are 32 bits wide
# What the engine runs, and within which limits; ``check`` says them of a node.
OPERATORS = {
    Conv2d.kind: "1x1, stride 1, no padding, weights of 4 bits",
    SquareDeformDW.kind: "weights of 4 bits, a row within the line buffer",
}


def check(graph: Graph, fpga: Fpga) -> None:
    """Raise one InputError listing everything that keeps ``graph`` from running on ``fpga``."""
    problems = _chain_problems(graph)
    for node in graph.nodes:
        problems += [f"{node.name}: {text}" for text in _node_problems(node, graph, fpga)]
    problems += [f"{fpga.name}: {text}" for text in _board_problems(fpga)]
    if problems:
        listing = "\n".join(f"  {problem}" for problem in problems)
        raise InputError(
            f"{graph.name} cannot run on the engine of {fpga.name}, {len(problems)} "
            f"problem{'s' if len(problems) > 1 else ''}:\n{listing}"
        )


def _chain_problems(graph: Graph) -> list[str]:
    problems = []
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        problems.append(
            f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs, expected one of each"
        )
    if not graph.nodes:
        problems.append("no layers, expected at least one")
    previous = graph.inputs[0] if graph.inputs else ""
    for node in graph.nodes:
        if node.inputs != (previous,):
            problems.append(
                f"{node.name}: reads {', '.join(node.inputs)}, expected only {previous}: "
                "the engine runs straight chains"
            )
        previous = node.output
    if graph.nodes and graph.outputs and graph.outputs[-1] != previous:
        problems.append(f"the output is {graph.outputs[-1]}, expected the last layer's, {previous}")
    return problems


def _node_problems(node: Node, graph: Graph, fpga: Fpga) -> list[str]:
    op = node.op
    if not isinstance(op, Conv2d | SquareDeformDW):
        return [f"operator {op.kind}, expected conv2d 1x1 or square_deform_dw"]
    tensors = [graph.tensors[name] for name in (*node.inputs, node.output)]
    problems = [
        f"{tensor.name} is {tensor.dtype} of shape {tensor.shape}, expected int8 (1, H, W, C)"
        for tensor in tensors
        if tensor.dtype != "int8" or len(tensor.shape) != 4 or tensor.shape[0] != 1
    ]
    if problems:
        return problems
    engine = fpga.engine
    for tensor in tensors:
        if tensor.shape[3] > engine.max_channels:
            problems.append(
                f"{tensor.name} has {tensor.shape[3]} channels, at most {engine.max_channels} fit"
            )
    if isinstance(op, Conv2d):
        problems += _conv_problems(node, op, tensors[0].shape, fpga)
    else:
        problems += _deform_problems(node, op, tensors[0].shape, fpga)
    return problems


def _conv_problems(node: Node, op: Conv2d, shape: tuple[int, ...], fpga: Fpga) -> list[str]:
    if op.window.kernel != (1, 1) or op.window.stride != (1, 1) or op.window.bordered:
        rows, columns = op.window.kernel
        return [
            f"conv2d {rows}x{columns} with stride {op.window.stride} and padding "
            f"{op.window.padding}, expected 1x1 with stride (1, 1) and no padding"
        ]
    constants, limit = node.constants, fpga.engine.max_weight_tiles
    _, height, width, channels = shape
    tiles = blocks(channels) * blocks(op.out_channels)
    weight = constants["weight"].reshape(op.out_channels, -1)
    problems = _weight_problems("weight", weight)
    if tiles > limit:
        problems.append(
            f"{channels} x {op.out_channels} weights are {tiles} tiles of 16 x 16, "
            f"at most {limit} fit"
        )
    problems += _iteration_problems(height * width * tiles)
    problems += _acc_problems("weight", weight, constants["bias"])
    return problems + _requant_problems("output", op.requant.shift, constants["multiplier"])


def _deform_problems(
    node: Node, op: SquareDeformDW, shape: tuple[int, ...], fpga: Fpga
) -> list[str]:
    constants, limit = node.constants, fpga.engine.max_row_words
    _, height, width, channels = shape
    words = width * blocks(channels)
    offset = constants["offset_weight"].reshape(1, -1)
    weight = constants["weight"].reshape(9, -1).T
    problems = _weight_problems("weight", weight) + _weight_problems("offset_weight", offset)
    if words > limit:
        problems.append(
            f"a row of {width} pixels x {channels} channels is {words} words of 16 bytes, "
            f"at most {limit} fit in the line buffer"
        )
    problems += _iteration_problems(3 * height * words)
    problems += _acc_problems("weight", weight, constants["bias"])
    problems += _acc_problems("offset_weight", offset, constants["offset_bias"])
    problems += _requant_problems("output", op.requant.shift, constants["multiplier"])
    return problems + _requant_problems("offset", op.offset_shift, constants["offset_multiplier"])


def _weight_problems(role: str, weight: np.ndarray) -> list[str]:
    low, high = int(weight.min()), int(weight.max())
    if low >= -8 and high <= 7:
        return []
    return [f"{role} spans {low}..{high}, expected -8..7: quantize with the scheme w4a8"]


def _acc_problems(role: str, weight: np.ndarray, bias: np.ndarray) -> list[str]:
    """``weight`` has one row per output channel."""
    bound = 128 * np.abs(weight.astype(np.int64)).sum(axis=1) + np.abs(bias.astype(np.int64))
    worst = int(bound.argmax())
    if bound[worst] <= ACC_LIMIT:
        return []
    return [
        f"the sum of {role} channel {worst} can reach {bound[worst]} with its bias {bias[worst]}, "
        f"at most {ACC_LIMIT} fits the 24-bit accumulator"
    ]


def _requant_problems(role: str, shift: int, multiplier: np.ndarray) -> list[str]:
    problems = []
    if not 0 <= shift <= MAX_SHIFT:
        problems.append(f"{role} requantization shift {shift}, expected 0..{MAX_SHIFT}")
    if int(multiplier.min()) < 0:
        problems.append(f"{role} multiplier {int(multiplier.min())}, expected 0 or more")
    return problems


def _iteration_problems(iterations: int) -> list[str]:
    if iterations <= MAX_ITERATIONS:
        return []
    return [f"{iterations} loop iterations, at most {MAX_ITERATIONS} can be counted: cut the map"]


def _board_problems(fpga: Fpga) -> list[str]:
    problems = []
    if fpga.engine.max_dilation < MAX_DILATION:
        problems.append(
            f"{fpga.engine.line_rows} line buffer rows reach dilation {fpga.engine.max_dilation}, "
            f"expected {MAX_DILATION}"
        )
    for key, used in resources(fpga).items():
        available = getattr(fpga, key)
        if used > available:
            problems.append(f"the engine is modelled at {used} {key}, the part has {available}")
    return problems
