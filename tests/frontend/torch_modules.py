# SPDX-License-Identifier: Apache-2.0
"""MODULES: the torch modules of torch_files.zip by name, with the shapes of their inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as all of torch's users call it

MAP, SERIES, ROW, TOKENS = (4, 6, 5), (3, 12), (8,), (6, 8)
Function = Callable[..., Any]


class Of(nn.Module):
    """A function of one tensor."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


class OfTwo(Of):
    """A function of two tensors, which are both inputs of the model."""

    def forward(self, a: Tensor, b: Tensor) -> Any:
        return self.function(a, b)


class Learned(nn.Module):
    """A function of a tensor and a parameter of some shape."""

    def __init__(self, function: Function, *shape: int) -> None:
        super().__init__()
        self.function, self.weight = function, nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight)


class With(nn.Module):
    """A function of one tensor and of modules."""

    def __init__(self, function: Function, *modules: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(modules)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.parts)


def recurrent(layer: nn.Module) -> nn.Module:
    """The results of all steps."""
    return With(lambda x, layer: layer(x)[0], layer)


def residual(*branch: nn.Module) -> nn.Module:
    return With(lambda x, branch: x + branch(x), nn.Sequential(*branch))


def scaled(*branch: nn.Module) -> nn.Module:
    """As in squeeze-and-excite."""
    return With(lambda x, branch: x * branch(x), nn.Sequential(*branch))


def shuffled(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def spatial_attention(x: Tensor, layer: nn.Module) -> Tensor:
    both = torch.cat((x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]), 1)
    return x * torch.sigmoid(layer(both))


def down_and_up(x: Tensor, down: nn.Module, joined: nn.Module) -> Tensor:
    y = F.max_pool2d(F.relu(down(x)), 2)
    return joined(torch.cat((x, F.interpolate(y, size=x.shape[-2:])), 1))


def classified(x: Tensor, features: nn.Module, classes: nn.Module) -> Tensor:
    x = features(x)
    return classes(x.view(x.size(0), -1))


def mixed(x: Tensor, tokens: nn.Module, channels: nn.Module) -> Tensor:
    x = x + tokens(x.transpose(1, 2)).transpose(1, 2)
    return x + F.relu(channels(x))


def expanded(x: Tensor, depthwise: nn.Module, *dense: nn.Module) -> Tensor:
    """A ConvNeXt block without its norm."""
    return x + nn.Sequential(*dense)(depthwise(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


BLOCKS_OF_MAPS = {
    "block_branches": With(
        lambda x, one, three: torch.cat((one(x), three(x)), 1),
        *(nn.Conv2d(4, 3, 1), nn.Conv2d(4, 5, 3, padding=1)),
    ),
    "block_channel_shuffle": Of(shuffled),
    "block_classifier": With(
        classified,
        nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Linear(48, 5),
    ),
    "block_convnext": With(
        expanded,
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        *(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4)),
    ),
    "block_inverted_residual": residual(
        *(nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()),
        *(nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6()),
        *(nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4)),
    ),
    "block_residual": nn.Sequential(
        residual(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)),
        nn.ReLU(),
    ),
    "block_spatial_attention": With(spatial_attention, nn.Conv2d(2, 1, 3, padding=1)),
    "block_squeeze_excite": scaled(
        *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1), nn.ReLU()),
        *(nn.Conv2d(2, 4, 1), nn.Hardsigmoid()),
    ),
    "block_squeeze_excite_dense": scaled(
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2), nn.ReLU()),
        *(nn.Linear(2, 4), nn.Sigmoid(), nn.Unflatten(1, (4, 1, 1))),
    ),
    "block_unet": With(down_and_up, nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(12, 4, 3, padding=1)),
}
ACTIVATIONS = {
    "CELU": nn.CELU(0.7),
    "ELU": nn.ELU(),
    "GELU": nn.GELU(),
    "GELU_tanh": nn.GELU("tanh"),
    "Hardshrink": nn.Hardshrink(),
    "Hardsigmoid": nn.Hardsigmoid(),
    "Hardswish": nn.Hardswish(),
    "Hardtanh": nn.Hardtanh(-0.7, 0.9),
    "LeakyReLU": nn.LeakyReLU(0.1),
    "LogSigmoid": nn.LogSigmoid(),
    "Mish": nn.Mish(),
    "PReLU": nn.PReLU(),
    "PReLU_per_channel": nn.PReLU(4),
    "ReLU": nn.ReLU(),
    "ReLU6": nn.ReLU6(),
    "SELU": nn.SELU(),
    "SiLU": nn.SiLU(),
    "Sigmoid": nn.Sigmoid(),
    "Softplus": nn.Softplus(),
    "Softshrink": nn.Softshrink(),
    "Softsign": nn.Softsign(),
    "Tanh": nn.Tanh(),
    "Tanhshrink": nn.Tanhshrink(),
}
ON_MAPS = {
    "AdaptiveAvgPool2d_1": nn.AdaptiveAvgPool2d(1),
    "AdaptiveAvgPool2d_divisor": nn.AdaptiveAvgPool2d((3, 1)),
    "AdaptiveAvgPool2d_no_divisor": nn.AdaptiveAvgPool2d((4, 3)),
    "AdaptiveMaxPool2d_1": nn.AdaptiveMaxPool2d(1),
    "AvgPool2d": nn.AvgPool2d(2),
    "AvgPool2d_ceil": nn.AvgPool2d(2, ceil_mode=True),
    "AvgPool2d_ceil_padded": nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True),
    "AvgPool2d_padded": nn.AvgPool2d(3, stride=2, padding=1),
    "AvgPool2d_uncounted": nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
    "BatchNorm2d": nn.BatchNorm2d(4),
    "BatchNorm2d_of_Conv2d": nn.Sequential(nn.Conv2d(4, 8, 3, bias=False), nn.BatchNorm2d(8)),
    "ChannelShuffle": nn.ChannelShuffle(2),
    "CircularPad2d": nn.CircularPad2d(2),
    "Conv2d": nn.Conv2d(4, 8, 3),
    "Conv2d_circular": nn.Conv2d(4, 8, 3, padding=1, padding_mode="circular"),
    "Conv2d_depthwise": nn.Conv2d(4, 4, 3, padding=1, groups=4),
    "Conv2d_dilated": nn.Conv2d(4, 8, 3, padding=2, dilation=2),
    "Conv2d_grouped": nn.Conv2d(4, 8, 3, groups=2),
    "Conv2d_reflect": nn.Conv2d(4, 8, 3, padding=1, padding_mode="reflect"),
    "Conv2d_replicate": nn.Conv2d(4, 8, 3, padding=1, padding_mode="replicate"),
    "Conv2d_same": nn.Conv2d(4, 8, 3, padding="same"),
    "Conv2d_same_even": nn.Conv2d(4, 8, (2, 4), padding="same"),
    "Conv2d_strided": nn.Conv2d(4, 8, 3, stride=2, padding=1),
    "ConvTranspose2d": nn.ConvTranspose2d(4, 8, 3, stride=2),
    "ConvTranspose2d_padded": nn.ConvTranspose2d(4, 8, 3, 2, padding=1, output_padding=1),
    "Dropout_of_Conv2d": nn.Sequential(nn.Conv2d(4, 8, 1), nn.Dropout(0.3)),
    "Flatten": nn.Flatten(),
    "GLU": nn.GLU(1),
    "GroupNorm": nn.GroupNorm(2, 4),
    "Identity_of_Conv2d": nn.Sequential(nn.Conv2d(4, 8, 1), nn.Identity()),
    "InstanceNorm2d": nn.InstanceNorm2d(4, affine=True),
    "LayerNorm_of_a_map": nn.LayerNorm((4, 6, 5)),
    "LocalResponseNorm": nn.LocalResponseNorm(3),
    "MaxPool2d": nn.MaxPool2d(2),
    "MaxPool2d_ceil": nn.MaxPool2d(2, ceil_mode=True),
    "MaxPool2d_dilated": nn.MaxPool2d(2, stride=1, dilation=2),
    "MaxPool2d_padded": nn.MaxPool2d(3, stride=2, padding=1),
    "PixelShuffle": nn.PixelShuffle(2),
    "PixelUnshuffle": nn.Sequential(nn.ZeroPad2d((0, 1, 0, 0)), nn.PixelUnshuffle(2)),
    "ReflectionPad2d": nn.ReflectionPad2d((1, 2, 0, 3)),
    "ReplicationPad2d": nn.ReplicationPad2d((1, 2, 0, 3)),
    "Softmax_of_channels": nn.Softmax2d(),
    "Upsample_bilinear": nn.Upsample(scale_factor=2, mode="bilinear"),
    "Upsample_bilinear_corners": nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
    "Upsample_nearest": nn.Upsample(scale_factor=2),
    "Upsample_nearest_exact": nn.Upsample(scale_factor=2, mode="nearest-exact"),
    "Upsample_nearest_to_size": nn.Upsample(size=(9, 10)),
    "ZeroPad2d": nn.ZeroPad2d((1, 2, 0, 3)),
    "learned_scale": Learned(torch.mul, 4, 1, 1),
    "torch.amax": Of(lambda x: torch.amax(x, (2, 3))),
    "torch.chunk": Of(lambda x: torch.mul(*torch.chunk(x, 2, 1))),
    "torch.clamp": Of(lambda x: torch.clamp(x, min=-0.5)),
    "torch.div": Of(lambda x: x / 3),
    "torch.flip": Of(lambda x: torch.flip(x, (3,))),
    "torch.index": Of(lambda x: x[:, [2, 0, 1]]),
    "torch.mean": Of(lambda x: x.mean((2, 3))),
    "torch.mean_of_channels": Of(lambda x: x.mean(1, keepdim=True)),
    "torch.min": Of(lambda x: torch.amin(x, 1)),
    "torch.narrow": Of(lambda x: x[:, 1:3, ::2, -3:]),
    "torch.normalize": Of(lambda x: F.normalize(x, dim=1)),
    "torch.permute": Of(lambda x: x.permute(0, 2, 3, 1)),
    "torch.pow": Of(lambda x: x**2),
    "torch.repeat": Of(lambda x: x.repeat(1, 2, 1, 1)),
    "torch.reshape": Of(lambda x: x.reshape(x.shape[0], x.shape[1], -1)),
    "torch.roll": Of(lambda x: torch.roll(x, (1, -2), (2, 3))),
    "torch.split": Of(lambda x: torch.split(x, [1, 3], 1)[1]),
    "torch.std": Of(lambda x: x.std((2, 3))),
    "torch.sum": Of(lambda x: x.sum((2, 3))),
    "torch.view": Of(lambda x: x.view(-1, 4 * 6 * 5)),
    "torch.where": Of(lambda x: torch.where(x > 0, x, 0.1 * x)),
}
ON_SERIES = {
    "AdaptiveAvgPool1d_1": nn.AdaptiveAvgPool1d(1),
    "AvgPool1d": nn.AvgPool1d(3),
    "BatchNorm1d_of_Conv1d": nn.Sequential(nn.Conv1d(3, 8, 3), nn.BatchNorm1d(8)),
    "Conv1d": nn.Conv1d(3, 8, 3),
    "Conv1d_circular": nn.Conv1d(3, 4, 3, padding=1, padding_mode="circular"),
    "Conv1d_causal": nn.Sequential(nn.ConstantPad1d((4, 0), 0.0), nn.Conv1d(3, 8, 3, dilation=2)),
    "Conv1d_depthwise": nn.Conv1d(3, 6, 3, groups=3),
    "ConvTranspose1d": nn.ConvTranspose1d(3, 8, 3, stride=2),
    "InstanceNorm1d": nn.InstanceNorm1d(3),
    "MaxPool1d": nn.MaxPool1d(2),
    "ReflectionPad1d": nn.ReflectionPad1d(2),
    "Softmax": nn.Softmax(-1),
    "Upsample_linear": nn.Upsample(scale_factor=2, mode="linear"),
    "Upsample_nearest_of_a_series": nn.Upsample(scale_factor=2),
    "block_separable": nn.Sequential(
        *(nn.Conv1d(3, 3, 3, padding=1, groups=3, bias=False), nn.BatchNorm1d(3), nn.ReLU()),
        *(nn.Conv1d(3, 8, 1, bias=False), nn.BatchNorm1d(8), nn.ReLU()),
    ),
    "block_temporal": With(
        lambda x, layer: F.relu(layer(x)[:, :, :-4] + x),
        nn.Conv1d(3, 3, 3, padding=4, dilation=2),
    ),
    "torch.squeeze": Of(lambda x: x.mean(2, keepdim=True).squeeze(2)),
    "torch.stack": Of(lambda x: torch.stack((x[:, :, ::2], x[:, :, 1::2]), 1)),
    "torch.transpose": Of(lambda x: x.transpose(1, 2)),
    "torch.unsqueeze": Of(lambda x: x.unsqueeze(1)),
}
ON_TOKENS = {
    "Embedding": With(lambda x, table: table(x[:, :, 0].long()), nn.Embedding(10, 4)),
    "GRU": recurrent(nn.GRU(8, 4, batch_first=True)),
    "LSTM": recurrent(nn.LSTM(8, 4, batch_first=True)),
    "LayerNorm": nn.LayerNorm(8),
    "Linear_of_a_series": nn.Linear(8, 5),
    "MultiheadAttention": With(
        lambda x, layer: layer(x, x, x, need_weights=False)[0],
        nn.MultiheadAttention(8, 2, batch_first=True),
    ),
    "RMSNorm": nn.RMSNorm(8),
    "RNN": recurrent(nn.RNN(8, 4, batch_first=True)),
    "block_attention_pooling": With(
        lambda x, layer: (torch.softmax(layer(x), 1) * x).sum(1), nn.Linear(8, 1)
    ),
    "block_mixer": With(mixed, nn.Linear(6, 6), nn.Linear(8, 8)),
    "learned_mixture": Learned(lambda x, w: w @ x, 5, 6),
    "learned_positions": Learned(torch.add, 1, 6, 8),
    "torch.einsum": Of(lambda x: torch.einsum("btc,bsc->bts", x, x)),
    "torch.einsum_with_weights": Learned(lambda x, w: torch.einsum("btc,chd->bhtd", x, w), 8, 2, 3),
    "torch.matmul": Of(lambda x: x @ x.transpose(1, 2)),
}
ON_ROWS = {
    "BatchNorm1d": nn.BatchNorm1d(8),
    "BatchNorm1d_of_Linear": nn.Sequential(nn.Linear(8, 5), nn.BatchNorm1d(5), nn.ReLU()),
    "Linear": nn.Linear(8, 5),
    "Linear_without_bias": nn.Linear(8, 5, bias=False),
    "LogSoftmax": nn.LogSoftmax(1),
    "Softmin": nn.Softmin(1),
    "Unflatten": nn.Unflatten(1, (2, 4)),
    "torch.argmax": nn.Sequential(nn.Linear(8, 5), Of(lambda x: torch.argmax(x, 1))),
}
ON_TWO = {
    "torch.add": OfTwo(torch.add),
    "torch.cat": OfTwo(lambda a, b: torch.cat((a, b), 1)),
    "torch.maximum": OfTwo(torch.maximum),
    "torch.mul": OfTwo(torch.mul),
    "torch.sub": OfTwo(torch.sub),
}
MODULES: dict[str, tuple[tuple[tuple[int, ...], ...], nn.Module]] = {
    name: (shapes, module)
    for shapes, modules in (
        ((MAP,), ACTIVATIONS),
        ((MAP,), ON_MAPS),
        ((MAP,), BLOCKS_OF_MAPS),
        ((SERIES,), ON_SERIES),
        ((TOKENS,), ON_TOKENS),
        ((ROW,), ON_ROWS),
        ((MAP, MAP), ON_TWO),
    )
    for name, module in modules.items()
}
