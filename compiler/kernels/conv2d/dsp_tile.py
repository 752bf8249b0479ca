# SPDX-License-Identifier: Apache-2.0
"""2 x 2 tiles of pixels and channels with SMLAD, 1 x 4 for a single pixel."""

from __future__ import annotations

import numpy as np

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.conv2d import gathered
from tinytailor.compiler.kernels.isa import dsp
from tinytailor.compiler.kernels.variant import DSP, Variant
from tinytailor.compiler.ops.conv2d import Conv2d


def lower(op: Conv2d, shapes: Shapes, constants: Constants) -> TirKernel:
    _, oh, ow, oc = op.output_shape(*shapes)
    tile = (1, 4) if oh * ow == 1 else (2, 2)
    columns = -(-oc // tile[1]) * tile[1]
    packed = {
        "weight": dsp.pack_weights(constants["weight"].reshape(oc, -1), columns),
        "bias": np.pad(constants["bias"], (0, columns - oc)),
        "multiplier": np.pad(constants["multiplier"], (0, columns - oc)),
    }
    block = dsp.matmul_block(*tile, gathered.depth_of(op, shapes[0]))
    return gathered.kernel(op, shapes, packed, tile, block)


VARIANT = Variant("dsp_tile", lower, DSP, gathered.block_limits)
