# SPDX-License-Identifier: Apache-2.0
"""A network without its weights: the list that every view of a found network is made from.

The torch module, the exact integer graph, the ONNX file and the costs all walk these layers' steps,
so what is searched, trained, priced and exported cannot differ. Tensors are (1, H, W, channels); of
a series H is time and W the sensors. The last layer's output (1, 1, 1, classes) is the logits.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

from tinytailor.compiler.ir import Shape
from tinytailor.compiler.opkey import OpKey, make_key
from tinytailor.nas.layers import Layer, PlacedStep
from tinytailor.nas.layers.base import placed_steps

INPUT = "input"


def input_name(index: int) -> str:
    """Of the inputs of a part of a network that has several."""
    return INPUT if index == 0 else f"{INPUT}{index + 1}"


@dataclass(frozen=True)
class Topology:
    """``layers`` in execution order over ``input`` of shape (1, H, W, channels).

    The input of a network belongs to its caller; that of a part further on (``first`` is false) is
    a tensor in the arena. Such a part may have ``further`` inputs, named input2 and so on.
    """

    input_shape: Shape
    layers: tuple[Layer, ...]
    first: bool = True
    further: tuple[Shape, ...] = ()

    @cached_property
    def inputs(self) -> dict[str, Shape]:
        """Shapes of the inputs by name."""
        return {input_name(i): s for i, s in enumerate((self.input_shape, *self.further))}

    @cached_property
    def steps(self) -> tuple[PlacedStep, ...]:
        """The integer operators of all layers in execution order."""
        shapes, steps = dict(self.inputs), []
        for layer in self.layers:
            for step in placed_steps(layer, shapes):
                shapes[step.name] = step.shape
                steps.append(step)
        return tuple(steps)

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """NHWC shape of every tensor by name."""
        return {**self.inputs, **{step.name: step.shape for step in self.steps}}

    @property
    def structure(self) -> Hashable:
        """All but the names of layers: what is equal in this is compiled to the same."""
        names = (*self.inputs, *(layer.name for layer in self.layers))
        place = {name: index for index, name in enumerate(names)}
        layers = tuple((n.kind, tuple(place[source] for source in n.sources)) for n in self.layers)
        return self.input_shape, self.further, self.first, layers

    @property
    def output(self) -> str:
        """The tensor that the last layer writes."""
        return self.layers[-1].name

    def keys(self, isa: str) -> tuple[OpKey, ...]:
        """The latency-table key of each step, in execution order."""
        return tuple(make_key(step.operator, step.shapes, isa) for step in self.steps)
