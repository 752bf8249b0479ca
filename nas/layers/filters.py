# SPDX-License-Identifier: Apache-2.0
"""What layers with filters share: convolution, batch norm or bias, ReLU, one requantization.

    bn(conv(x)) = gamma * (W*x - mean) / sqrt(var + eps) + beta = (g W)*x + (beta - g mean),
    g = gamma / sqrt(var + eps)

    weight   (O, I, kh, kw) float       integers (O, kh, kw, I) int8, one scale an output channel
    bias     (O,) float                 integers (O,) int32 in steps of s_in * weight_scale[o]

Maps are padded as TensorFlow's SAME, with zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tinytailor.compiler import ir
from tinytailor.compiler.ir import Shape
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.real_values import HIGH, LOW
from tinytailor.compiler.requantization import Requant, effective_scale, multipliers
from tinytailor.nas.layers.base import (
    Filled,
    Integers,
    Kind,
    PlacedStep,
    Single,
    Tensors,
    Trained,
    Weights,
)
from tinytailor.nas.layers.onnx_step import OnnxStep, Stored
from tinytailor.nas.quantization.base import Quantizer
from tinytailor.targets.errors import InputError

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Filters(Single):
    """Filters of ``kernel`` at steps of ``stride``, then ReLU where ``relu``.

    With ``norm`` they are trained with batch norm, else with a bias. Taps are ``dilation`` apart.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    relu: bool = True
    norm: bool = True
    dilation: Pair = (1, 1)

    @property
    def family(self) -> Kind:
        return replace(self, kernel=(1, 1))

    @property
    def taps(self) -> int:
        return prod(self.kernel)

    def widths(self, channels: int) -> Pair:
        """Filters, and the channels that each one reads, of a map of ``channels``."""
        raise NotImplementedError

    def packed(self, weight: np.ndarray) -> np.ndarray:
        """Weights (O, kh, kw, I) as the operator takes them."""
        raise NotImplementedError

    def window(self, shape: Shape) -> Window:
        padding = same_padding(shape, self.kernel, self.stride, self.dilation)
        return Window(self.kernel, self.stride, padding, self.dilation)

    def trained(self, shapes: tuple[Shape, ...], generator: torch.Generator) -> Trained:
        return TrainedFilters(self, *self.widths(shapes[0][3]), generator)

    def compute(self, weights: Weights, *values: Tensor) -> Tensor:
        y = same_conv(values[0], weights["weight"], weights["bias"], self.stride, self.dilation)
        return functional.relu(y) if self.relu else y

    def fake(
        self, weights: Weights, quantizer: Quantizer, reads: Tensors, writes: ir.Tensor
    ) -> Weights:
        weight, bias = weights["weight"], weights["bias"]
        scale = quantizer.weight_scale(weight, bias, reads[0], writes)
        step = scale * reads[0].scale
        rounded = bias + (torch.round(bias / step) * step - bias).detach()
        return {"weight": quantizer.fake_weight(weight, scale), "bias": rounded}

    def integers(
        self, weights: Weights, quantizer: Quantizer, reads: Tensors, writes: ir.Tensor
    ) -> Integers:
        weight, bias = weights["weight"], weights["bias"]
        scale = quantizer.weight_scale(weight, bias, reads[0], writes)
        whole = quantizer.integers(weight, scale).permute(0, 2, 3, 1).contiguous()
        step = (scale * reads[0].scale).double()
        steps = torch.round(bias.double() / step).numpy()
        return {
            "weight": whole_numbers(whole.numpy(), "int8", f"weights of {writes.name}"),
            "bias": whole_numbers(steps, "int32", f"bias of {writes.name}"),
            "weight_scale": scale.numpy().astype(np.float32),
        }

    def filled(self, op: Any, integers: Integers, reads: Tensors, writes: ir.Tensor) -> Filled:
        (source,), weight = reads, integers["weight"]
        scale = effective_scale(source.scale, integers["weight_scale"], writes.scale)
        multiplier, shift = multipliers(scale)
        requant = Requant(writes.zero_point, shift, writes.zero_point if self.relu else LOW, HIGH)
        total = weight.astype(np.int64).sum(axis=(1, 2, 3))
        bias = integers["bias"] - source.zero_point * total
        constants = {
            "weight": self.packed(weight),
            "bias": whole_numbers(bias, "int32", f"bias of {writes.name} with its zero point"),
            "multiplier": multiplier,
        }
        return replace(op, input_zero_point=source.zero_point, requant=requant), constants

    def stored(self, integers: Integers, reads: Tensors) -> Mapping[str, Stored]:
        scale = integers["weight_scale"]
        step = (np.float32(reads[0].scale) * scale).astype(np.float32)
        weight = np.ascontiguousarray(integers["weight"].transpose(0, 3, 1, 2))
        return {"weight": Stored(weight, scale), "bias": Stored(integers["bias"], step)}

    def onnx(self, step: OnnxStep) -> None:
        channels = step.shapes[0][3]
        conv = f"{step.name}_conv" if self.relu else step.target
        step.node(
            "Conv",
            [step.sources[0], step.constants["weight"], step.constants["bias"]],
            conv,
            kernel_shape=self.kernel,
            strides=self.stride,
            pads=self.window(step.shapes[0]).padding,
            dilations=self.dilation,
            group=channels // self.widths(channels)[1],
        )
        if self.relu:
            step.node("Relu", [conv], step.target)


class TrainedFilters(Trained):
    """Filters with batch norm, or with a bias where they have no norm."""

    def __init__(
        self, filters: Filters, count: int, depth: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.filters = filters
        self.weight = new_weight((count, depth, *filters.kernel), generator)
        self.bias = None if filters.norm else nn.Parameter(torch.zeros(count))
        self.norm = nn.BatchNorm2d(count) if filters.norm else None

    def forward(self, x: Tensor) -> Tensor:
        y = same_conv(x, self.weight, self.bias, self.filters.stride, self.filters.dilation)
        y = y if self.norm is None else self.norm(y)
        return functional.relu(y) if self.filters.relu else y

    def part(self, step: PlacedStep) -> dict[str, Tensor]:
        filters = step.primitive
        assert isinstance(filters, Filters)
        count, depth = filters.widths(step.shapes[0][3])
        rows, columns = map(middle, self.weight.shape[2:], filters.kernel)
        state = {
            name: value[:count] if value.ndim else value
            for name, value in self.state_dict(keep_vars=True).items()
        }
        return state | {"weight": self.weight[:count, :depth, rows, columns]}

    def nested(self, step: PlacedStep, values: Sequence[Tensor]) -> Tensor:
        filters, state = step.primitive, self.part(step)
        assert isinstance(filters, Filters)
        weight, bias = state["weight"], state.get("bias")
        y = same_conv(values[0], weight, bias, filters.stride, filters.dilation)
        if self.norm is not None:
            gain, shift = state["norm.weight"], state["norm.bias"]
            y = functional.batch_norm(y, None, None, gain, shift, True, 0.0, self.norm.eps)
        return functional.relu(y) if filters.relu else y

    def folded(self) -> Weights:
        weight = self.weight.detach()
        if self.norm is None:
            assert self.bias is not None
            return {"weight": weight.clone(), "bias": self.bias.detach().clone()}
        mean, var = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert var is not None
        gain = self.norm.weight.detach() / torch.sqrt(var + self.norm.eps)
        bias = self.norm.bias.detach() - gain * mean
        return {"weight": weight * gain[:, None, None, None], "bias": bias}


def middle(size: int, part: int) -> slice:
    """Where ``part`` of ``size`` taps are that SAME padding lays over the same places."""
    start = (size - part) // 2
    return slice(start, start + part)


def new_weight(shape: tuple[int, ...], generator: torch.Generator) -> nn.Parameter:
    """Of the deviation that torch's own layers begin with, drawn from ``generator`` only.

    Behind batch norm the size of weights matters to the rate alone at which they turn: at that of
    He et al. 2015, 2.4 times as large, networks for UCI-HAR learned worse at every rate tried.
    """
    weight = torch.empty(shape).normal_(generator=generator)
    return nn.Parameter(weight / sqrt(3.0 * prod(shape[1:])))


def same_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, dilation: Pair = (1, 1)
) -> Tensor:
    """Convolution with SAME padding; groups follow from the channels of ``x`` and ``weight``.

    Maps one pixel wide are turned: along the last axis torch computes twice as fast.
    """
    if x.shape[3] == weight.shape[3] == 1:
        turned = x.transpose(2, 3), weight.transpose(2, 3)
        return _same_conv(*turned, bias, stride[::-1], dilation[::-1]).transpose(2, 3)
    return _same_conv(x, weight, bias, stride, dilation)


def _same_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, dilation: Pair
) -> Tensor:
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    shape = (1, int(x.shape[2]), int(x.shape[3]), int(x.shape[1]))
    top, left, bottom, right = same_padding(shape, kernel, stride, dilation)
    groups = int(x.shape[1]) // int(weight.shape[1])
    if (top, left) == (bottom, right):
        return functional.conv2d(x, weight, bias, stride, (top, left), dilation, groups)
    padded = functional.pad(x, (left, right, top, bottom))
    return functional.conv2d(padded, weight, bias, stride, 0, dilation, groups)


def same_padding(
    shape: Shape, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)
) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) for an output of ceil(size / stride); the odd pixel is last."""
    top, bottom = _same(shape[1], dilation[0] * (kernel[0] - 1) + 1, stride[0])
    left, right = _same(shape[2], dilation[1] * (kernel[1] - 1) + 1, stride[1])
    return top, left, bottom, right


def _same(size: int, span: int, stride: int) -> Pair:
    total = max((-(-size // stride) - 1) * stride + span - size, 0)
    return total // 2, total - total // 2


def whole_numbers(values: np.ndarray, dtype: str, what: str) -> np.ndarray:
    """``values``, whole already, as ``dtype``; InputError where one does not fit."""
    limits = np.iinfo(dtype)
    outside = ~((values >= limits.min) & (values <= limits.max))  # also where it is not a number
    if outside.any():
        raise InputError(
            f"{what}: {values[outside][0]:g} does not fit {dtype}; weights or ranges are out of "
            "proportion, calibrate or train again"
        )
    return values.astype(dtype)
