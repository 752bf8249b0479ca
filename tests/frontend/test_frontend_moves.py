# SPDX-License-Identifier: Apache-2.0
"""Operators that only move numbers equal onnxruntime in every element."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qdq_models import Model, differences

from tinytailor.compiler import load_model

pytestmark = [pytest.mark.tvm]

SHAPE = (1, 4, 7, 6)


def integers(model: Model, values: list[int]) -> str:
    return model.constant(f"c_{len(model.constants)}", np.array(values, np.int64))


def sliced(starts: list[int], ends: list[int], axes: list[int], steps: list[int]):
    def build(model: Model) -> str:
        inputs = [integers(model, values) for values in (starts, ends, axes, steps)]
        return model.quantized(model.node("Slice", [model.input(SHAPE), *inputs]), 0.02, 3)

    build.__name__ = f"slice_{starts}_{ends}_{axes}_{steps}".replace(" ", "")
    return build


def split(model: Model) -> str:
    x = model.input(SHAPE)
    names = ["part_a", "part_b", "part_c"]
    node = model.node("Split", [x, integers(model, [1, 2, 1])], "split", axis=1)
    model.nodes[-1].output[:] = names
    assert node
    a, b, c = (model.quantized(name, 0.02, 3) for name in names)
    y = model.quantized(model.node("Concat", [c, b, a], axis=1), 0.02, 3)
    return y


def even_split_of_rows(model: Model) -> str:
    x = model.input((1, 12))
    model.node("Split", [x], "split", axis=1, num_outputs=3)
    model.nodes[-1].output[:] = ["part_a", "part_b", "part_c"]
    b = model.quantized("part_b", 0.02, 3)
    model.scales[b] = 0.02
    return model.quantized(model.gemm(b, (5, 4)), 0.01, 3)


def gathered(model: Model) -> str:
    y = model.node("Gather", [model.input(SHAPE), integers(model, [3, -4, 1])], axis=1)
    return model.quantized(y, 0.02, 3)


def one_row(model: Model) -> str:
    index = model.constant("index", np.array(2, np.int64))
    return model.quantized(model.node("Gather", [model.input(SHAPE), index], axis=2), 0.02, 3)


def tiled(model: Model) -> str:
    y = model.node("Tile", [model.input(SHAPE), integers(model, [1, 2, 1, 3])])
    return model.quantized(y, 0.02, 3)


def expanded(model: Model) -> str:
    y = model.node("Expand", [model.input((1, 4, 1, 6)), integers(model, [1, 4, 5, 6])])
    return model.quantized(y, 0.02, 3)


def resized(coordinates: str, rounding: str, sizes: list[int] | None = None, scales=()):
    def build(model: Model) -> str:
        inputs = [model.input(SHAPE), "", ""]
        if sizes:
            inputs.append(integers(model, sizes))
        else:
            inputs[2] = model.constant("scales", np.array(scales, np.float32))
        y = model.node(
            "Resize",
            inputs,
            mode="nearest",
            coordinate_transformation_mode=coordinates,
            nearest_mode=rounding,
        )
        return model.quantized(y, 0.02, 3)

    build.__name__ = f"resize_{coordinates}_{rounding}_{sizes or scales}".replace(" ", "")
    return build


def depth_to_space(mode: str):
    def build(model: Model) -> str:
        x = model.input((1, 12, 3, 5))
        y = model.node("DepthToSpace", [x], blocksize=2, mode=mode)
        return model.quantized(y, 0.02, 3)

    build.__name__ = f"depth_to_space_{mode}"
    return build


def depth_to_space_after_a_convolution(model: Model) -> str:
    y = model.conv(model.input((1, 3, 3, 5)), (8, 3, 1, 1))
    return model.quantized(model.node("DepthToSpace", [y], blocksize=2), 0.037, 3)


def space_to_depth(model: Model) -> str:
    y = model.node("SpaceToDepth", [model.input((1, 3, 4, 6))], blocksize=2)
    return model.quantized(y, 0.02, 3)


def reshaped(model: Model, x: str, shape: list[int]) -> str:
    return model.node("Reshape", [x, integers(model, shape)])


def channel_shuffle(model: Model) -> str:
    x = reshaped(model, model.input((1, 12, 3, 5)), [1, 3, 4, 3, 5])
    x = reshaped(model, model.node("Transpose", [x], perm=[0, 2, 1, 3, 4]), [1, 12, 3, 5])
    return model.quantized(x, 0.02, 3)


def transposed_map(model: Model) -> str:
    x = model.node("Relu", [model.conv(model.input(SHAPE), (5, 4, 3, 3))])
    x = model.quantized(x, 0.05, -128)
    x = model.node("Transpose", [x], perm=[0, 1, 3, 2])
    model.scales[x] = 0.05
    return model.quantized(model.conv(x, (3, 5, 2, 2)), 0.06, 3)


def rows_of_a_map(model: Model) -> str:
    x = model.quantized(model.conv(model.input(SHAPE), (5, 4, 3, 3)), 0.05, 3)
    return reshaped(model, x, [1, 100])


def tokens(model: Model) -> str:
    x = model.quantized(model.conv(model.input(SHAPE), (5, 4, 3, 3)), 0.05, 3)
    x = model.node("Transpose", [reshaped(model, x, [1, 5, 20])], perm=[0, 2, 1])
    return model.quantized(x, 0.05, 3)


def series(model: Model) -> str:
    return model.quantized(model.conv(model.input((1, 3, 10)), (4, 3, 3)), 0.05, 3)


def half_of_a_turned_map(model: Model) -> str:
    """The parts of a map that was reshaped in between: its axes interleave in memory."""
    x = reshaped(model, model.input((1, 4, 3, 6)), [1, 6, 12])
    inputs = [integers(model, [v]) for v in (2, 5, 1)]
    return model.quantized(model.node("Slice", [x, *inputs]), 0.02, 3)


def padded(mode: str, pads: list[int], scale: float = 0.02, value: float = 0.0, shape=SHAPE):
    def build(model: Model) -> str:
        inputs = [model.input(shape), integers(model, pads)]
        if mode == "constant":
            inputs.append(model.constant("value", np.float32(value)))
        return model.quantized(model.node("Pad", inputs, mode=mode), scale, 3)

    build.__name__ = f"pad_{mode}_{pads}_{scale}".replace(" ", "")
    return build


def joined_layouts(model: Model) -> str:
    x = model.input((1, 4, 6, 6))
    a = model.quantized(model.conv(x, (4, 4, 1, 1)), 0.05, 3)
    turned = model.node("Transpose", [a], perm=[0, 1, 3, 2])
    return model.quantized(model.node("Concat", [turned, a], axis=1), 0.05, 3)


MODELS = (
    padded("reflect", [0, 0, 2, 1, 0, 0, 3, 2]),
    padded("edge", [0, 1, 2, 1, 0, 0, 3, 2]),
    padded("wrap", [0, 0, 0, 1, 0, 0, 0, 2]),
    padded("constant", [0, 1, -2, 1, 0, 0, 3, -2]),
    padded("constant", [0, 1, 2, 1, 0, 0, 3, 2], 0.0337, 0.5),
    padded("constant", [0, 2, 0, 3], value=0.5, shape=(1, 12)),
    padded("constant", [0, 0, 2, 0, 1, 3], value=0.5, shape=(1, 4, 7)),
    joined_layouts,
    sliced([1], [3], [1], [1]),
    sliced([2, -4], [100, -1], [2, 3], [1, 1]),
    sliced([0, 1], [7, 6], [2, 3], [3, 2]),
    sliced([-1], [-100], [3], [-2]),
    split,
    even_split_of_rows,
    gathered,
    one_row,
    tiled,
    expanded,
    resized("asymmetric", "floor", scales=[1, 1, 2, 2]),
    resized("half_pixel", "round_prefer_floor", scales=[1, 1, 2.5, 0.6]),
    resized("half_pixel", "round_prefer_ceil", sizes=[1, 4, 10, 9]),
    resized("align_corners", "round_prefer_floor", sizes=[1, 4, 13, 4]),
    resized("pytorch_half_pixel", "ceil", sizes=[1, 4, 1, 13]),
    depth_to_space("DCR"),
    depth_to_space("CRD"),
    depth_to_space_after_a_convolution,
    space_to_depth,
    channel_shuffle,
    transposed_map,
    rows_of_a_map,
    tokens,
    series,
    half_of_a_turned_map,
)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_moved_numbers_equal_those_of_onnxruntime(build, dtype, tmp_path: Path) -> None:
    model = Model(dtype=dtype)
    path = model.save(tmp_path / "model.onnx", build(model), opset=19)
    graph = load_model(path)
    count, largest, elements = differences(path, graph)
    assert elements > 0
    convolved = any(node.op.kind == "conv2d" for node in graph.nodes)
    assert largest <= (1 if convolved else 0)
    assert count <= 0.002 * elements
