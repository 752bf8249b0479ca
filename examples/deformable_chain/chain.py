# SPDX-License-Identifier: Apache-2.0
"""W4A8 chains for the FPGA tests: a description, and the integer Graph of it.

A chain is 1x1 convolutions and SquareDeformDW layers in any order. Weights are seeded; scales and
offset biases follow the layer's own activations: outputs fill int8 and dilations 0..7 occur.
``chain_onnx.build_onnx`` writes the same chain as a QDQ ONNX file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tinytailor.compiler.ir import Graph, Node, Tensor, check
from tinytailor.compiler.ops.conv2d import Conv2d
from tinytailor.compiler.ops.square_deform_dw import SquareDeformDW
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.requantization import Requant, effective_scale, multipliers

CALIBRATION_IMAGES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Integers and scales of one layer. ``weight`` is (OC,IC) or, deformable, (3,3,C).

    Biases are at scale s_x * s_w, without the zero-point correction that the Graph folds in.
    """

    name: str
    weight: np.ndarray
    weight_scale: np.ndarray
    bias: np.ndarray
    relu: bool
    offset_weight: np.ndarray | None = None
    offset_scale: float = 1.0
    offset_bias: int = 0


@dataclass(slots=True, eq=False)
class Chain:
    """``activations[i]`` is the (scale, zero point) before layer i; the last is the output's."""

    height: int
    width: int
    in_channels: int
    layers: list[Layer] = field(default_factory=list)
    activations: list[tuple[float, int]] = field(default_factory=list)

    def images(self, count: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        shape = (count, self.height, self.width, self.in_channels)
        return rng.integers(-128, 128, shape, dtype=np.int8)


def build_chain(
    layers: str = "p16 d p32 d p32",
    *,
    height: int = 32,
    width: int = 32,
    in_channels: int = 3,
    dilation: int | None = None,
    seed: int = 0,
) -> Chain:
    """``layers``: "p16" is a 1x1 convolution to 16 channels, "r16" one with ReLU, "d" deformable.

    ``dilation`` fixes d of every deformable layer; without it the offsets spread over 0..7.
    """
    rng = np.random.default_rng(seed)
    chain = Chain(height, width, in_channels, [], [(0.02, -7)])
    x = chain.images(CALIBRATION_IMAGES, seed + 1)
    for index, word in enumerate(layers.split()):
        channels = x.shape[3]
        if word == "d":
            layer = _deformable(f"deform{index}", x, chain.activations[-1], dilation, rng)
        else:
            weight = rng.integers(-8, 8, (int(word[1:]), channels), dtype=np.int8)
            layer = _with_bias(f"pointwise{index}", weight, word[0] == "r", rng)
        chain.layers.append(layer)
        chain.activations.append((1.0, 0))  # provisional: _calibrate needs the layer to be runnable
        chain.activations[-1] = _calibrate(chain, x)
        node = _node(chain, index)
        x = node.op.reference((x,), node.constants)
    return chain


def _with_bias(name: str, weight: np.ndarray, relu: bool, rng: np.random.Generator) -> Layer:
    scale = rng.uniform(0.01, 0.05, weight.shape[0]).astype(np.float32)
    bias = rng.integers(-2000, 2000, weight.shape[0], dtype=np.int32)
    return Layer(name, weight, scale, bias, relu)


def _deformable(
    name: str,
    x: np.ndarray,
    activation: tuple[float, int],
    dilation: int | None,
    rng: np.random.Generator,
) -> Layer:
    """Offsets of mean 3.5 and spread 3 over the calibration maps, or a constant ``dilation``."""
    channels = x.shape[3]
    scale_x, zero_point = activation
    weight = rng.integers(-8, 8, (3, 3, channels), dtype=np.int8)
    offset_weight = rng.integers(-8, 8, channels, dtype=np.int8)
    target = 3.5
    if dilation is not None:
        offset_weight[:], target = 0, float(dilation)
    acc = (x.astype(np.int64) - zero_point) @ offset_weight.astype(np.int64)
    spread = float(acc.std())
    offset_scale = float(np.float32(3.0 / (scale_x * spread) if spread > 0 else 0.1))
    offset_bias = round(target / (scale_x * offset_scale) - float(acc.mean()))
    return Layer(
        name,
        weight,
        rng.uniform(0.01, 0.05, channels).astype(np.float32),
        rng.integers(-500, 500, channels, dtype=np.int32),
        False,
        offset_weight,
        offset_scale,
        offset_bias,
    )


def _calibrate(chain: Chain, x: np.ndarray) -> tuple[float, int]:
    """(scale, zero point) that spread the last layer's real outputs on ``x`` over int8."""
    index = len(chain.layers) - 1
    node, layer = _node(chain, index), chain.layers[index]
    # The accumulators themselves, read out through a requantization that only divides by 2^k.
    raw = _accumulators(node, x)
    real = raw * (chain.activations[index][0] * layer.weight_scale.astype(np.float64))
    low, high = min(0.0, float(real.min())), max(0.0, float(real.max()))
    if layer.relu:
        low = 0.0
    scale = float(np.float32(max(high - low, 1e-3) / 255))
    return scale, int(np.clip(np.rint(-128 - low / scale), -128, 127))


def _accumulators(node: Node, x: np.ndarray) -> np.ndarray:
    constants = node.constants
    if isinstance(node.op, Conv2d):
        return (
            x.astype(np.int64) @ constants["weight"][:, 0, 0, :].T.astype(np.int64)
            + (constants["bias"])
        )
    d = node.op.dilations(x, constants)
    return (
        masked_dilated_sum(x, d, constants["weight"], node.op.input_zero_point)
        + (constants["bias"])
    )


def masked_dilated_sum(
    x: np.ndarray, d: np.ndarray, weight: np.ndarray, zero_point: int
) -> np.ndarray:
    """sum_k [d == k] * DepthwiseConv(x, dilation=k), zero_point outside; int64 (N, H, W, C)."""
    _, height, width, _ = x.shape
    total = np.zeros(x.shape, np.int64)
    for k in range(8):
        padded = np.pad(
            x.astype(np.int64), ((0, 0), (k, k), (k, k), (0, 0)), constant_values=zero_point
        )
        for i in range(3):
            for j in range(3):
                window = padded[:, i * k : i * k + height, j * k : j * k + width]
                total += (d == k)[..., None] * window * weight[i, j].astype(np.int64)
    return total


def build_graph(chain: Chain, name: str = "chain") -> Graph:
    """The integer Graph of a chain."""
    tensors = [tensor_of(chain, index) for index in range(len(chain.layers) + 1)]
    return check(
        Graph(
            name,
            (tensors[0].name,),
            (tensors[-1].name,),
            {tensor.name: tensor for tensor in tensors},
            tuple(_node(chain, index) for index in range(len(chain.layers))),
        )
    )


def channels_of(chain: Chain, index: int) -> int:
    return chain.in_channels if index == 0 else len(chain.layers[index - 1].bias)


def tensor_of(chain: Chain, index: int) -> Tensor:
    scale, zero_point = chain.activations[index]
    name = "input" if index == 0 else f"{chain.layers[index - 1].name}_out"
    shape = (1, chain.height, chain.width, channels_of(chain, index))
    return Tensor(name, shape, "int8", scale, zero_point)


def _node(chain: Chain, index: int) -> Node:
    layer = chain.layers[index]
    (scale_x, zero_x), (scale_y, zero_y) = chain.activations[index : index + 2]
    multiplier, shift = multipliers(effective_scale(scale_x, layer.weight_scale, scale_y))
    requant = Requant(zero_y, shift, low=zero_y if layer.relu else -128)
    weight_sum = layer.weight.astype(np.int64)
    constants = {"multiplier": multiplier}
    op: Conv2d | SquareDeformDW
    if layer.offset_weight is None:
        op = Conv2d(len(layer.bias), Window((1, 1)), input_zero_point=zero_x, requant=requant)
        constants["weight"] = layer.weight[:, None, None, :]
        folded = layer.bias - zero_x * weight_sum.sum(axis=1)
    else:
        offset_multiplier, offset_shift = multipliers(
            effective_scale(scale_x, layer.offset_scale, 1.0)
        )
        op = SquareDeformDW(zero_x, offset_shift, requant)
        offset_sum = int(layer.offset_weight.astype(np.int64).sum())
        constants |= {
            "weight": layer.weight,
            "offset_weight": layer.offset_weight,
            "offset_bias": np.array([layer.offset_bias - zero_x * offset_sum], np.int32),
            "offset_multiplier": offset_multiplier,
        }
        folded = layer.bias - zero_x * weight_sum.sum(axis=(0, 1))
    constants["bias"] = folded.astype(np.int32)
    names = tensor_of(chain, index).name, tensor_of(chain, index + 1).name
    return Node(layer.name, op, names[:1], names[1], constants)
