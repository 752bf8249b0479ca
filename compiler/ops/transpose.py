# SPDX-License-Identifier: Apache-2.0
"""Axes of an int8 tensor in another order: y[i, j, k] = x[i, k, j] for the axes (0, 2, 1).

Over reshaped tensors it is also depth-to-space, space-to-depth and the shuffling of channels: the
front end finds shape and axes for any of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinytailor.compiler.ir import Constants, Shape, Shapes
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.traits.channels import Channels, linked
from tinytailor.compiler.ops.traits.examples import Examples, one_map
from tinytailor.compiler.ops.traits.keys import NUMBERS
from tinytailor.compiler.ops.traits.ranges import Range, Ranges, enclosing
from tinytailor.targets.errors import InputError


@dataclass(frozen=True, slots=True)
class Transpose(Operator):
    """``axes``: for each axis of the output the axis of the input; the batch stays in front."""

    kind: ClassVar[str] = "transpose"
    in_place: ClassVar[bool] = False

    axes: tuple[int, ...] = field(metadata=NUMBERS)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if sorted(self.axes) != list(range(len(x))) or self.axes[0] != 0:
            raise InputError(
                f"transpose: axes {self.axes} of shape {x}, expected each axis once, 0 in front"
            )
        return tuple(x[axis] for axis in self.axes)

    def reference(self, inputs: tuple[np.ndarray, ...], constants: Constants) -> np.ndarray:
        return inputs[0].transpose(self.axes)

    def ranges(self, reads: Ranges, inputs: Shapes, constants: Constants) -> Range:
        return enclosing(*(end.transpose(self.axes) for end in reads[0].spread(inputs[0])))

    def channels(self, inputs: Shapes, constants: Constants) -> Channels:
        stays = self.axes[-1] == len(self.axes) - 1
        return linked(*inputs, output=inputs[0]) if stays else None

    @classmethod
    def examples(cls) -> Examples:
        return {
            "transpose_to_channels_first": (cls((0, 3, 1, 2)), one_map(4, 3, 8)),
            "transpose_rows": (cls((0, 2, 1, 3)), one_map(4, 3, 8)),
            "transpose_depth_to_space": (cls((0, 1, 3, 2, 4, 5)), ((1, 3, 4, 2, 2, 3),)),
            "transpose_shuffle": (cls((0, 1, 3, 2)), one_map(15, 3, 4)),
        }
