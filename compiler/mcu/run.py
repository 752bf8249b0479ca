# SPDX-License-Identifier: Apache-2.0
"""Running an emitted network: batches of inputs as calls, what comes back as batches of outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinytailor.compiler.ir import Graph
from tinytailor.compiler.mcu.build import Image
from tinytailor.compiler.mcu.interface import Interface, entry
from tinytailor.targets import Board, Buffer, Call, CallResult, run_on


def invoke(
    image: Image, network: Interface, board: Board, inputs: Sequence[np.ndarray], *, count: bool
) -> tuple[list[CallResult], list[np.ndarray]]:
    """Run the network on the image's runner for batches of its inputs: results and outputs.

    ``count``: instructions, by layer.
    """
    calls = invocations(network.graph, network.name, inputs)
    regions = {function.symbol: node for node, function in network.functions.items()}
    results = run_on(image.runner, image.elf, board, calls, regions=regions, count=count)
    return results, stacked(network.graph, results)


def invocations(graph: Graph, name: str, inputs: Sequence[np.ndarray]) -> list[Call]:
    """One call of the network for each row of its inputs."""
    sizes = [graph.tensors[t].bytes for t in graph.outputs]
    return [
        Call(
            entry(name),
            (
                *(Buffer(array[i].nbytes, array[i].tobytes(), constant=True) for array in inputs),
                *(Buffer(size, read_back=True) for size in sizes),
            ),
        )
        for i in range(len(inputs[0]))
    ]


def stacked(graph: Graph, results: Sequence[CallResult]) -> list[np.ndarray]:
    """The outputs of all calls, one batch a graph output."""
    outputs = []
    for k, tensor in enumerate(graph.outputs):
        dtype = graph.tensors[tensor].dtype
        rows = [np.frombuffer(result.outputs[k], dtype) for result in results]
        outputs.append(np.stack(rows).reshape(-1, *graph.tensors[tensor].shape[1:]))
    return outputs
