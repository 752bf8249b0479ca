# SPDX-License-Identifier: Apache-2.0
"""Single int8 TFLite operators against LiteRT: at most one step apart.

LiteRT changes scales and computes some activation functions with few bits: those tables are nearer
to the real numbers than LiteRT itself is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tflite_models import T, gap, indices, save

from tinytailor.compiler import load_model

pytestmark = [pytest.mark.tvm]

MAP = (1, 9, 8, 3)
POOL = {"filterHeight": 3, "filterWidth": 2, "strideH": 2, "strideW": 2}
SAME, VALID, RELU = 0, 1, 1
COARSE = ("hard swish", "leaky relu", "prelu", "requantize", "squared difference")
PADS = np.array([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32)

OPERATORS = {
    "max pool": ("MAX_POOL_2D", [T(MAP)], T((1, 5, 4, 3)), "Pool2DOptions", {**POOL}),
    "max pool, relu": (
        "MAX_POOL_2D",
        [T(MAP)],
        T((1, 4, 4, 3)),
        "Pool2DOptions",
        {**POOL, "padding": VALID, "fusedActivationFunction": RELU},
    ),
    "average pool": ("AVERAGE_POOL_2D", [T(MAP)], T((1, 5, 4, 3)), "Pool2DOptions", {**POOL}),
    "sigmoid": ("LOGISTIC", [T(MAP, 0.05)], T(MAP, 1 / 256, -128), "", {}),
    "tanh": ("TANH", [T(MAP, 0.03)], T(MAP, 1 / 128, 0), "", {}),
    "hard swish": ("HARD_SWISH", [T(MAP, 0.05)], T(MAP, 0.03, -100), "HardSwishOptions", {}),
    "leaky relu": ("LEAKY_RELU", [T(MAP)], T(MAP, 0.013, -60), "LeakyReluOptions", {"alpha": 0.2}),
    "relu": ("RELU", [T(MAP)], T(MAP, 0.013, -128), "", {}),
    "relu6": ("RELU6", [T(MAP, 0.06)], T(MAP, 0.0235, -128), "", {}),
    "requantize": ("QUANTIZE", [T(MAP)], T(MAP, 0.031, -9), "QuantizeOptions", {}),
    "mul": ("MUL", [T(MAP), T(MAP, 0.03, -9)], T(MAP, 0.017, 5), "MulOptions", {}),
    "sub": ("SUB", [T(MAP), T(MAP, 0.033, -9)], T(MAP, 0.047, 5), "SubOptions", {}),
    "squared difference": (
        "SQUARED_DIFFERENCE",
        [T(MAP), T((1, 1, 8, 1), 0.033, -9)],
        T(MAP, 0.0937, -128),
        "SquaredDifferenceOptions",
        {},
    ),
    "elu": ("ELU", [T(MAP, 0.03)], T(MAP, 0.017, -40), "", {}),
    "gelu": ("GELU", [T(MAP, 0.03)], T(MAP, 0.017, -100), "GeluOptions", {"approximate": False}),
    "exp": ("EXP", [T(MAP)], T(MAP, 0.0513, -128), "", {}),
    "log": ("LOG", [T(MAP, 0.03, -128)], T(MAP, 0.0213, 40), "", {}),
    "abs": ("ABS", [T(MAP)], T(MAP, 0.0213, -128), "", {}),
    "rsqrt": ("RSQRT", [T(MAP, 0.03, -128)], T(MAP, 0.0213, -128), "", {}),
    "maximum": ("MAXIMUM", [T(MAP), T((1, 1, 1, 3))], T(MAP), "", {}),
    "minimum": ("MINIMUM", [T(MAP), T(MAP)], T(MAP), "", {}),
    "prelu": (
        "PRELU",
        [T(MAP), T((1, 1, 3), 0.0123, 0, np.array([[[100, -80, 13]]], np.int8))],
        T(MAP, 0.0213, 9),
        "",
        {},
    ),
    "add of a row": ("ADD", [T(MAP), T((1, 1, 8, 1), 0.033)], T(MAP, 0.047, 5), "AddOptions", {}),
    "concat": (
        "CONCATENATION",
        [T(MAP), T(MAP)],
        T((1, 9, 8, 6)),
        "ConcatenationOptions",
        {"axis": 3},
    ),
    "pad": ("PAD", [T(MAP), T(PADS.shape, data=PADS)], T((1, 12, 9, 3)), "PadOptions", {}),
}


PACKED = {"axis": 2, "valuesCount": 2}
MOVES = {
    "slice": ("SLICE", [T(MAP), *indices([0, 2, 1, 0], [1, 5, -1, 2])], T((1, 5, 7, 2)), "", {}),
    "strided slice": (
        "STRIDED_SLICE",
        [T(MAP), *indices([0, 1, 0, -1], [1, 9, 0, -4], [1, 3, 2, -1])],
        T((1, 3, 4, 3)),
        "StridedSliceOptions",
        {"endMask": 4},
    ),
    "one column": (
        "STRIDED_SLICE",
        [T(MAP), *indices([0, 0, 5, 0], [1, 9, 6, 3], [1, 1, 1, 1])],
        T((1, 9, 3)),
        "StridedSliceOptions",
        {"shrinkAxisMask": 4},
    ),
    "gather": ("GATHER", [T(MAP), *indices([2, 0, 0])], T(MAP), "GatherOptions", {"axis": 3}),
    "reverse": ("REVERSE_V2", [T(MAP), *indices([2])], T(MAP), "ReverseV2Options", {}),
    "tile": ("TILE", [T(MAP), *indices([1, 2, 1, 2])], T((1, 18, 8, 6)), "TileOptions", {}),
    "split": (
        "SPLIT",
        [*indices([3]), T((1, 4, 3, 6))],
        [T((1, 4, 3, 2))] * 3,
        "SplitOptions",
        {"numSplits": 3},
    ),
    "uneven split": (
        "SPLIT_V",
        [T((1, 4, 3, 6)), *indices([1, 3], 1)],
        [T((1, 1, 3, 6)), T((1, 3, 3, 6))],
        "SplitVOptions",
        {"numSplits": 2},
    ),
    "mirror": (
        "MIRROR_PAD",
        [T(MAP), *indices(PADS.tolist())],
        T((1, 12, 9, 3)),
        "MirrorPadOptions",
        {"mode": 0},
    ),
    "pack": ("PACK", [T(MAP), T(MAP)], T((1, 9, 2, 8, 3)), "PackOptions", PACKED),
    "transpose": ("TRANSPOSE", [T(MAP), *indices([0, 3, 2, 1])], T((1, 3, 8, 9)), "", {}),
    "depth to space": (
        "DEPTH_TO_SPACE",
        [T((1, 3, 4, 12))],
        T((1, 6, 8, 3)),
        "DepthToSpaceOptions",
        {"blockSize": 2},
    ),
    "space to depth": (
        "SPACE_TO_DEPTH",
        [T((1, 6, 8, 3))],
        T((1, 3, 4, 12)),
        "SpaceToDepthOptions",
        {"blockSize": 2},
    ),
} | {
    f"resize {height}x{width} {fields}": (
        "RESIZE_NEAREST_NEIGHBOR",
        [T(MAP), *indices([height, width])],
        T((1, height, width, 3)),
        "ResizeNearestNeighborOptions",
        fields,
    )
    for height, width in ((18, 16), (7, 21))
    for fields in ({}, {"alignCorners": True}, {"halfPixelCenters": True})
}


@pytest.mark.parametrize("name", MOVES)
def test_moved_numbers_equal_those_of_litert(name: str, tmp_path: Path) -> None:
    operator, inputs, output, options, fields = MOVES[name]
    path = save(tmp_path / "model.tflite", operator, inputs, output, options, **fields)
    assert gap(path, load_model(path)).max() == 0


@pytest.mark.parametrize("name", OPERATORS)
def test_outputs_are_within_one_step_of_litert(name: str, tmp_path: Path) -> None:
    operator, inputs, output, options, fields = OPERATORS[name]
    path = save(tmp_path / "model.tflite", operator, inputs, output, options, **fields)
    distances = gap(path, load_model(path))
    count = np.count_nonzero(distances)
    print(f"{name}: {count} of {distances.size} elements differ, at most by {distances.max()}")
    assert distances.max() <= 1
    assert count <= (0.15 if name in COARSE else 0.002) * distances.size
