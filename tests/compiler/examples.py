# SPDX-License-Identifier: Apache-2.0
"""Shapes every operator is tried with, on every core: the conformance kit of the operators.

A new operator adds its examples here and is tested everywhere without further code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinytailor.compiler.ir import Graph, Shape
from tinytailor.compiler.opkey import example_graph, make_key
from tinytailor.compiler.ops import (
    Add,
    AddConstant,
    Affine,
    ArgMax,
    AveragePool2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DeformConv2d,
    Dense,
    DepthwiseConv2d,
    Extremum,
    GroupedConv2d,
    Lookup,
    MaxPool2d,
    Mul,
    Operator,
    Pad,
    PRelu,
    Reshape,
    Slice,
    Softmax,
    SquareDeformDW,
    Take,
    Transpose,
)
from tinytailor.compiler.ops.window import Window


@dataclass(frozen=True)
class Example:
    name: str
    op: Operator
    shapes: tuple[Shape, ...]

    def graph(self, isa: str) -> Graph:
        return example_graph(make_key(self.op, self.shapes, isa))


def _deformed(h: int, w: int, c: int, *offset: int) -> tuple[Shape, ...]:
    return ((1, h, w, c), (1, *offset))


def _map(h: int, w: int, c: int) -> tuple[Shape, ...]:
    return ((1, h, w, c),)


FUSED = Conv2d(13, Window((3, 3), (1, 1), (1, 1, 1, 1)), add=Add())
ADDED = ((1, 6, 4, 16), (1, 6, 4, 13))
CLAMPED = {"clamped": True}
EXAMPLES = (
    Example("conv_3x3_first", Conv2d(16, Window((3, 3), (1, 1), (1, 1, 1, 1))), _map(13, 9, 3)),
    Example("conv_3x3", Conv2d(16, Window((3, 3), (1, 1), (1, 1, 1, 1))), _map(7, 9, 16)),
    Example(
        "conv_3x3_stride2_same", Conv2d(8, Window((3, 3), (2, 2), (0, 0, 1, 1))), _map(8, 8, 4)
    ),
    Example("conv_odd_everything", Conv2d(7, Window((3, 1), (2, 1), (1, 0, 1, 0))), _map(7, 5, 13)),
    Example("conv_dilated", Conv2d(3, Window((3, 3), dilation=(2, 2))), _map(7, 7, 4)),
    Example(
        "conv_keyword_first", Conv2d(8, Window((10, 4), (2, 2), (4, 1, 5, 1))), _map(49, 10, 1)
    ),
    Example("conv_time", Conv2d(4, Window((5, 1), (2, 1), (2, 0, 2, 0))), _map(25, 6, 1)),
    Example("conv_whole_width", Conv2d(8, Window((1, 6))), _map(13, 6, 4)),
    Example("conv_1x1", Conv2d(13, Window((1, 1))), _map(5, 5, 16)),
    Example("conv_1x1_stride2", Conv2d(6, Window((1, 1), (2, 2))), _map(6, 6, 8)),
    Example("conv_1x1_one_channel", Conv2d(4, Window((1, 1))), _map(7, 5, 1)),
    Example("conv_one_pixel", Conv2d(5, Window((3, 3))), _map(3, 3, 6)),
    Example("conv_deep", Conv2d(4, Window((3, 3), (1, 1), (1, 1, 1, 1))), _map(4, 4, 250)),
    Example("conv_3x3_add", FUSED, ((1, 7, 9, 16), (1, 7, 9, 13))),
    Example("conv_3x3_add_even", replace(FUSED, out_channels=12), ((1, 5, 5, 8), (1, 5, 5, 12))),
    Example("conv_1x1_add", replace(FUSED, window=Window((1, 1))), ADDED),
    Example(
        "conv_one_pixel_add", Conv2d(5, Window((3, 3)), add=Add()), ((1, 3, 3, 6), (1, 1, 1, 5))
    ),
    Example("depthwise_3x3", DepthwiseConv2d(Window((3, 3), (1, 1), (1, 1, 1, 1))), _map(9, 5, 16)),
    Example(
        "depthwise_stride2", DepthwiseConv2d(Window((3, 3), (2, 2), (0, 0, 1, 1))), _map(13, 9, 8)
    ),
    Example("depthwise_no_border", DepthwiseConv2d(Window((3, 3))), _map(6, 7, 8)),
    Example(
        "depthwise_odd_channels",
        DepthwiseConv2d(Window((3, 3), (1, 1), (1, 1, 1, 1))),
        _map(5, 5, 6),
    ),
    Example("depthwise_5x5", DepthwiseConv2d(Window((5, 5), (1, 1), (2, 2, 2, 2))), _map(7, 7, 4)),
    Example("depthwise_time", DepthwiseConv2d(Window((3, 1))), _map(12, 1, 8)),
    Example("depthwise_dilated", DepthwiseConv2d(Window((3, 3), dilation=(2, 2))), _map(7, 7, 4)),
    Example(
        "conv_4_bits", Conv2d(5, Window((3, 2), padding=(1, 0, 1, 1)), weight_bits=4), _map(5, 4, 3)
    ),
    Example("conv_2_bits", Conv2d(4, Window((1, 1)), weight_bits=2), _map(3, 4, 7)),
    Example("conv_1_bit", Conv2d(3, Window((3, 3)), weight_bits=1), _map(5, 5, 3)),
    Example("depthwise_4_bits", DepthwiseConv2d(Window((3, 3)), weight_bits=4), _map(5, 6, 5)),
    Example("depthwise_1_bit", DepthwiseConv2d(Window((2, 2)), weight_bits=1), _map(4, 4, 9)),
    Example("dense_4_bits", Dense(5, weight_bits=4), ((1, 27),)),
    Example("grouped", GroupedConv2d(12, 2, Window((3, 3), (1, 1), (1, 1, 1, 1))), _map(7, 6, 8)),
    Example(
        "grouped_odd", GroupedConv2d(9, 3, Window((3, 2), (2, 1), (1, 0, 0, 1))), _map(7, 7, 15)
    ),
    Example("grouped_1x1", GroupedConv2d(8, 4, Window((1, 1))), _map(5, 4, 16)),
    Example("grouped_1x1_thin", GroupedConv2d(8, 4, Window((1, 1))), _map(5, 4, 4)),
    Example("grouped_dilated", GroupedConv2d(6, 2, Window((3, 3), dilation=(1, 2))), _map(5, 7, 4)),
    Example(
        "grouped_time", GroupedConv2d(8, 4, Window((5, 1), (2, 1), (2, 0, 2, 0))), _map(25, 1, 8)
    ),
    Example("grouped_one_pixel", GroupedConv2d(10, 2, Window((3, 3))), _map(3, 3, 6)),
    Example(
        "multiplier", GroupedConv2d(12, 6, Window((3, 3), (2, 2), (0, 0, 1, 1))), _map(8, 8, 6)
    ),
    Example(
        "multiplier_odd", GroupedConv2d(9, 3, Window((3, 3), (1, 1), (1, 1, 1, 1))), _map(5, 7, 3)
    ),
    Example("transposed", ConvTranspose2d(6, Window((4, 4), (2, 2), (1, 1, 1, 1))), _map(5, 4, 8)),
    Example(
        "transposed_odd", ConvTranspose2d(5, Window((3, 3), (2, 2), (1, 1, 1, 1))), _map(5, 4, 7)
    ),
    Example(
        "transposed_larger", ConvTranspose2d(3, Window((3, 3), (2, 2), (1, 1, 0, 0))), _map(4, 5, 4)
    ),
    Example(
        "transposed_gaps", ConvTranspose2d(4, Window((2, 1), (3, 2), (0, 0, -1, 0))), _map(3, 4, 5)
    ),
    Example(
        "transposed_plain", ConvTranspose2d(4, Window((3, 3), (1, 1), (3, 2, 0, 1))), _map(6, 5, 4)
    ),
    Example(
        "transposed_groups", ConvTranspose2d(8, Window((3, 2), (2, 3)), groups=4), _map(4, 3, 8)
    ),
    Example(
        "transposed_time", ConvTranspose2d(4, Window((4, 1), (2, 1), (1, 0, 1, 0))), _map(9, 1, 6)
    ),
    Example("dense", Dense(12), ((1, 64),)),
    Example("dense_odd", Dense(5), ((1, 27),)),
    Example("add", Add.from_key({}), ((1, 4, 4, 8),) * 2),
    Example("add_wide", Add.from_key({"wide": True}), ((1, 4, 4, 8),) * 2),
    Example("average_pool_global", AveragePool2d(Window((4, 5))), _map(4, 5, 9)),
    Example("average_pool_windows", AveragePool2d(Window((2, 2), (2, 2))), _map(6, 6, 4)),
    Example(
        "average_pool_even",
        AveragePool2d(Window((2, 2), (2, 2)), input_zero_point=3, ties_even=True),
        _map(6, 6, 4),
    ),
    Example(
        "average_pool_even_border",
        AveragePool2d(Window((3, 4), (2, 1), (1, 1, 1, 2)), -90, 80, -5, None, True),
        _map(7, 8, 5),
    ),
    Example(
        "average_pool_border", AveragePool2d(Window((3, 3), (2, 2), (1, 1, 1, 1))), _map(7, 8, 5)
    ),
    Example(
        "average_pool_time", AveragePool2d(Window((4, 1), (3, 1), (1, 0, 2, 0))), _map(13, 1, 6)
    ),
    Example("max_pool", MaxPool2d(Window((2, 2), (2, 2))), _map(7, 6, 8)),
    Example("max_pool_border", MaxPool2d(Window((3, 3), (2, 2), (1, 1, 1, 1))), _map(7, 9, 5)),
    Example("max_pool_time", MaxPool2d(Window((4, 1), (2, 1), (1, 0, 2, 0))), _map(13, 1, 6)),
    Example(
        "max_pool_dilated",
        MaxPool2d(Window((2, 3), padding=(1, 0, 0, 1), dilation=(2, 3))),
        _map(6, 9, 4),
    ),
    Example(
        "average_pool_requantized",
        AveragePool2d.from_key(
            {"kernel": [3, 2], "stride": [2, 1], "padding": [1, 0, 1, 1], "shifted": False}
        ),
        _map(7, 6, 3),
    ),
    Example("lookup", Lookup(), _map(5, 3, 7)),
    Example("mul", Mul.from_key({"shifted": False}), ((1, 4, 4, 8),) * 2),
    Example("mul_shifted", Mul.from_key({"shifted": True}), ((1, 5, 3, 3),) * 2),
    Example("add_channels", Add.from_key({}), ((1, 4, 5, 7), (1, 1, 1, 7))),
    Example("add_outer", Add.from_key({}), ((1, 4, 1, 3), (1, 1, 5, 3))),
    Example("add_number", Add.from_key({}), ((1, 1, 1, 1), (1, 4, 5, 3))),
    Example("add_numbers", Add.from_key({}), ((1, 1),) * 2),
    Example("mul_pixels", Mul.from_key({"shifted": False}), ((1, 4, 5, 7), (1, 4, 5, 1))),
    Example("mul_rows", Mul.from_key({"shifted": False}), ((1, 4, 1, 1), (1, 4, 5, 7))),
    Example("arg_max", ArgMax(1), ((1, 12),)),
    Example("arg_max_channels", ArgMax(3), _map(4, 5, 7)),
    Example("arg_min_columns", ArgMax(2, largest=False), _map(4, 5, 7)),
    Example("maximum", Extremum(True), ((1, 4, 5, 7),) * 2),
    Example("minimum_channels", Extremum(False), ((1, 4, 5, 7), (1, 1, 1, 7))),
    Example("prelu_channels", PRelu.from_key({"shape": (1, 1, 1, 7)}), _map(4, 5, 7)),
    Example("prelu_rows", PRelu.from_key({"shape": (1, 4, 1, 1)}), _map(4, 5, 7)),
    Example("mul_channels", Mul.from_key({"shifted": False}), ((1, 4, 5, 7), (1, 1, 1, 7))),
    Example("concat_channels", Concat(3), ((1, 4, 3, 8), (1, 4, 3, 5), (1, 4, 3, 2))),
    Example("concat_rows", Concat(1), ((1, 2, 3, 4), (1, 5, 3, 4))),
    Example("concat_features", Concat(1), ((1, 9), (1, 3))),
    Example("pad", Pad((1, 2, 0), (0, 1, 0)), _map(4, 3, 8)),
    Example("pad_channels", Pad((0, 1, 4), (1, 0, 3)), _map(3, 4, 5)),
    Example("slice_rows", Slice((0, 2, 0, 0), (1, 3, 4, 5)), _map(6, 4, 5)),
    Example("slice_channels", Slice((0, 0, 0, 3), (1, 4, 3, 5)), _map(4, 3, 8)),
    Example("slice_one_channel", Slice((0, 0, 0, 7), (1, 4, 3, 1)), _map(4, 3, 8)),
    Example("slice_everywhere", Slice((0, 1, 2, 3), (1, 4, 3, 2)), _map(6, 5, 7)),
    Example("slice_features", Slice((0, 5), (1, 9)), ((1, 20),)),
    Example("take_rows_and_columns", Take((1, 2), (8, 5)), _map(4, 3, 6)),
    Example("take_columns", Take((2,), (3,)), _map(4, 7, 8)),
    Example("take_channels", Take((3,), (5,)), _map(4, 3, 8)),
    Example("take_everywhere", Take((1, 2, 3), (3, 4, 5)), _map(4, 3, 8)),
    Example("take_features", Take((1,), (15,)), ((1, 10),)),
    Example("transpose_to_channels_first", Transpose((0, 3, 1, 2)), _map(4, 3, 8)),
    Example("transpose_rows", Transpose((0, 2, 1, 3)), _map(4, 3, 8)),
    Example("transpose_depth_to_space", Transpose((0, 1, 3, 2, 4, 5)), ((1, 3, 4, 2, 2, 3),)),
    Example("transpose_shuffle", Transpose((0, 1, 3, 2)), _map(15, 3, 4)),
    Example("add_constant", AddConstant.from_key({}), _map(4, 3, 7)),
    Example("add_constant_map", AddConstant.from_key({"shape": (1, 4, 3, 1)}), _map(4, 3, 7)),
    Example("affine_channels", Affine((1, 1, 1, 7)), _map(4, 3, 7)),
    Example("affine_rows", Affine((1, 4, 1, 1)), _map(4, 3, 7)),
    Example("affine_row", Affine((1, 10)), ((1, 10),)),
    Example("add_constant_row", AddConstant.from_key({}), ((1, 10),)),
    Example(
        "deform",
        DeformConv2d(5, Window((3, 3), padding=(1, 1, 1, 1))),
        _deformed(6, 5, 8, 6, 5, 18),
    ),
    Example(
        "deform_groups",
        DeformConv2d(6, Window((3, 2), (2, 1), (1, 0, 1, 1), (1, 2)), groups=2, offset_groups=2),
        _deformed(7, 6, 4, 4, 5, 24),
    ),
    Example(
        "deform_depthwise",
        DeformConv2d(6, Window((3, 3), padding=(1, 1, 1, 1)), groups=6, offset_groups=3),
        _deformed(5, 5, 6, 5, 5, 54),
    ),
    Example("deform_one_tap", DeformConv2d(4, Window((1, 1))), _deformed(5, 4, 3, 5, 4, 2)),
    Example("square_deform", SquareDeformDW(), _map(9, 11, 8)),
    Example("square_deform_odd_channels", SquareDeformDW(), _map(6, 5, 3)),
    Example("reshape_copied", Reshape((1, 60)), _map(4, 3, 5)),
    Example("minimum_clamped", Extremum.from_key({"largest": False, **CLAMPED}), ADDED[1:] * 2),
    Example("prelu_clamped", PRelu.from_key({"shape": (1, 1, 1, 7), **CLAMPED}), _map(4, 5, 7)),
    Example("add_constant_clamped", AddConstant.from_key(CLAMPED), ((1, 10),)),
    Example("affine_clamped", Affine.from_key({"shape": (1, 10), **CLAMPED}), ((1, 10),)),
    Example("softmax", Softmax(), ((1, 12),)),
    Example("softmax_scaled", Softmax.from_key({"fraction": 6}), ((1, 12),)),
    Example("softmax_many_scaled", Softmax.from_key({"fraction": 6}), ((1, 700),)),
    Example("softmax_many", Softmax(), ((1, 700),)),
)


def random_inputs(graph: Graph, count: int, seed: int) -> list[np.ndarray]:
    """int8 batches; the first sample is all 127, the second all -128, the extremes of the range."""
    rng = np.random.default_rng(seed)
    batches = []
    for name in graph.inputs:
        batch = rng.integers(-128, 128, (count, *graph.tensors[name].shape[1:])).astype(np.int8)
        batch[0], batch[1] = 127, -128
        batches.append(batch)
    return batches
