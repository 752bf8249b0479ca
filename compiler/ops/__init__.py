# SPDX-License-Identifier: Apache-2.0
"""The operators with an integer form. Adding one: a new file here and a line in ``OPERATORS``."""

from tinytailor.compiler.ops.add import Add
from tinytailor.compiler.ops.add_constant import AddConstant
from tinytailor.compiler.ops.affine import Affine
from tinytailor.compiler.ops.arg_max import ArgMax
from tinytailor.compiler.ops.base import Operator
from tinytailor.compiler.ops.concat import Concat
from tinytailor.compiler.ops.conv2d import Conv2d
from tinytailor.compiler.ops.conv_transpose2d import ConvTranspose2d
from tinytailor.compiler.ops.deform_conv2d import DeformConv2d
from tinytailor.compiler.ops.dense import Dense
from tinytailor.compiler.ops.depthwise_conv2d import DepthwiseConv2d
from tinytailor.compiler.ops.extremum import Extremum
from tinytailor.compiler.ops.grouped_conv2d import GroupedConv2d
from tinytailor.compiler.ops.lookup import Lookup
from tinytailor.compiler.ops.max_pool import MaxPool2d
from tinytailor.compiler.ops.mul import Mul
from tinytailor.compiler.ops.pad import Pad
from tinytailor.compiler.ops.pool import AveragePool2d
from tinytailor.compiler.ops.prelu import PRelu
from tinytailor.compiler.ops.reshape import Reshape
from tinytailor.compiler.ops.slice import Slice
from tinytailor.compiler.ops.softmax import Softmax
from tinytailor.compiler.ops.square_deform_dw import SquareDeformDW
from tinytailor.compiler.ops.take import Take
from tinytailor.compiler.ops.transpose import Transpose

OPERATORS: dict[str, type[Operator]] = {
    op.kind: op
    for op in (
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
        GroupedConv2d,
        Extremum,
        Lookup,
        MaxPool2d,
        Mul,
        Pad,
        PRelu,
        Reshape,
        Slice,
        Softmax,
        SquareDeformDW,
        Take,
        Transpose,
    )
}

__all__ = [
    "OPERATORS",
    "Add",
    "AddConstant",
    "Affine",
    "ArgMax",
    "AveragePool2d",
    "Concat",
    "Conv2d",
    "ConvTranspose2d",
    "DeformConv2d",
    "Dense",
    "DepthwiseConv2d",
    "Extremum",
    "GroupedConv2d",
    "Lookup",
    "MaxPool2d",
    "Mul",
    "Operator",
    "PRelu",
    "Pad",
    "Reshape",
    "Slice",
    "Softmax",
    "SquareDeformDW",
    "Take",
    "Transpose",
]
