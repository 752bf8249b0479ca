# SPDX-License-Identifier: Apache-2.0
"""Layers that the networks of the zoo are made of, in torch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name


class Apply(nn.Module):
    """Modules by name, and how they are put together: ``forward(self, *inputs)``."""

    def __init__(self, forward: Callable[..., object], **parts: nn.Module) -> None:
        super().__init__()
        self.compute = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: Tensor) -> object:
        return self.compute(self, *inputs)


def named(*layers: tuple[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def conv_bn(
    i: int,
    o: int,
    k: int = 3,
    s: int = 1,
    groups: int = 1,
    act: nn.Module | None = None,
    d: int = 1,
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(i, o, k, s, d * (k // 2), d, groups, bias=False),
        nn.BatchNorm2d(o),
    ]
    return nn.Sequential(*layers, *([] if act is None else [act]))


def series_bn(i: int, o: int, k: int, s: int = 1, groups: int = 1, d: int = 1) -> nn.Sequential:
    conv = nn.Conv1d(i, o, k, s, d * (k // 2), d, groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm1d(o), nn.ReLU())


def inverted(
    i: int, o: int, expand: int, k: int, s: int, act: Callable[[], nn.Module]
) -> nn.Module:
    """The inverted residual block of MobileNetV2 and MCUNet."""
    m = i * expand
    body = nn.Sequential(
        conv_bn(i, m, 1, act=act()), conv_bn(m, m, k, s, m, act()), conv_bn(m, o, 1)
    )
    if s == 1 and i == o:
        return Apply(lambda self, x: x + self.body(x), body=body)
    return body


def squeeze_excite(channels: int, gate: nn.Module) -> nn.Module:
    return Apply(
        lambda m, x: x * m.gate(m.up(F.relu(m.down(F.adaptive_avg_pool2d(x, 1))))),
        down=nn.Conv2d(channels, channels // 4, 1),
        up=nn.Conv2d(channels // 4, channels, 1),
        gate=gate,
    )
