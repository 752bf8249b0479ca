# SPDX-License-Identifier: Apache-2.0
"""The operators. Adding one: a new file here and a line below.

``OPERATORS`` holds all of them by kind, ``tabled()`` those that latency tables have keys of.
``ORDINARY`` is a layer as most are, of 8 channels, which keeps the shape of its input.
"""

from tinytailor.compiler.ops.add import Add as Add
from tinytailor.compiler.ops.add_constant import AddConstant as AddConstant
from tinytailor.compiler.ops.add_n import AddN as AddN
from tinytailor.compiler.ops.affine import Affine as Affine
from tinytailor.compiler.ops.arg_max import ArgMax as ArgMax
from tinytailor.compiler.ops.base import Operator as Operator
from tinytailor.compiler.ops.channel_lookup import ChannelLookup as ChannelLookup
from tinytailor.compiler.ops.compand import Compand as Compand
from tinytailor.compiler.ops.concat import Concat as Concat
from tinytailor.compiler.ops.conv2d import Conv2d as Conv2d
from tinytailor.compiler.ops.conv_transpose2d import ConvTranspose2d as ConvTranspose2d
from tinytailor.compiler.ops.deform_conv2d import DeformConv2d as DeformConv2d
from tinytailor.compiler.ops.dense import Dense as Dense
from tinytailor.compiler.ops.depthwise_conv2d import DepthwiseConv2d as DepthwiseConv2d
from tinytailor.compiler.ops.extremum import Extremum as Extremum
from tinytailor.compiler.ops.float_op import FloatOp as FloatOp
from tinytailor.compiler.ops.grouped_conv2d import GroupedConv2d as GroupedConv2d
from tinytailor.compiler.ops.l2_normalize import L2Normalize as L2Normalize
from tinytailor.compiler.ops.layer_normalize import LayerNormalize as LayerNormalize
from tinytailor.compiler.ops.log_softmax import LogSoftmax as LogSoftmax
from tinytailor.compiler.ops.lookup import Lookup as Lookup
from tinytailor.compiler.ops.max_pool import MaxPool2d as MaxPool2d
from tinytailor.compiler.ops.mul import Mul as Mul
from tinytailor.compiler.ops.pad import Pad as Pad
from tinytailor.compiler.ops.pool import AveragePool2d as AveragePool2d
from tinytailor.compiler.ops.prelu import PRelu as PRelu
from tinytailor.compiler.ops.reshape import Reshape as Reshape
from tinytailor.compiler.ops.resize_linear import ResizeLinear as ResizeLinear
from tinytailor.compiler.ops.slice import Slice as Slice
from tinytailor.compiler.ops.softmax import Softmax as Softmax
from tinytailor.compiler.ops.square_deform_dw import SquareDeformDW as SquareDeformDW
from tinytailor.compiler.ops.squared_difference import SquaredDifference as SquaredDifference
from tinytailor.compiler.ops.take import Take as Take
from tinytailor.compiler.ops.transpose import Transpose as Transpose
from tinytailor.compiler.ops.window import Window

OPERATORS: dict[str, type[Operator]] = {
    imported.kind: imported
    for imported in tuple(globals().values())
    if isinstance(imported, type) and issubclass(imported, Operator) and imported is not Operator
}
ORDINARY: Operator = Conv2d(8, Window((3, 3), padding=(1, 1, 1, 1)))


def tabled() -> dict[str, type[Operator]]:
    return {kind: operator for kind, operator in OPERATORS.items() if operator.in_tables}
