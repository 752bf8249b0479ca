# SPDX-License-Identifier: Apache-2.0
"""Networks as torch users have them: one function each, in ``NETWORKS``.

Weights are random after He and seeded, batch norms have the statistics of real inputs. tests/zoo
has smaller networks, of single blocks.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import torch
from onnx_forms import silent  # of tests/zoo
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name


def conv(
    i: int, o: int, k: int = 3, s: int = 1, groups: int = 1, act: type[nn.Module] = nn.ReLU
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(i, o, k, s, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o), act()
    )


class Residual(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Gate(nn.Module):
    """Squeeze and excite, as MobileNetV3 has it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, channels // 4, 1)
        self.up = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))
        return x * F.hardsigmoid(self.up(y))


def inverted(
    i: int, m: int, o: int, k: int, s: int, act: type[nn.Module], gate: bool = False
) -> nn.Module:
    body = nn.Sequential(
        *([conv(i, m, 1, act=act)] if m != i else []),
        conv(m, m, k, s, m, act),
        *([Gate(m)] if gate else []),
        conv(m, o, 1, act=nn.Identity),
    )
    return Residual(body) if s == 1 and i == o else body


def mobilenet_v2() -> nn.Module:
    """MobileNetV2 of width 0.25."""
    layers: list[nn.Module] = [conv(3, 8, 3, 2, act=nn.ReLU6)]
    i = 8
    stages = (1, 8, 1, 1), (6, 8, 2, 2), (6, 8, 3, 2), (6, 16, 4, 2), (6, 24, 3, 1), (6, 40, 3, 2)
    for expand, o, count, stride in (*stages, (6, 80, 1, 1)):
        for number in range(count):
            s = stride if number == 0 else 1
            layers.append(inverted(i, i * expand, o, 3, s, nn.ReLU6))
            i = o
    layers += [conv(i, 1280, 1, act=nn.ReLU6), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(0.2), nn.Linear(1280, 10))


def mobilenet_v3_small() -> nn.Module:
    """MobileNetV3-small of width 0.25."""
    relu, swish = nn.ReLU, nn.Hardswish
    blocks = (
        (3, 8, 8, True, relu, 2),
        (3, 24, 8, False, relu, 2),
        (3, 24, 8, False, relu, 1),
        (5, 24, 16, True, swish, 2),
        (5, 64, 16, True, swish, 1),
        (5, 64, 16, True, swish, 1),
        (5, 32, 16, True, swish, 1),
        (5, 40, 16, True, swish, 1),
        (5, 72, 24, True, swish, 2),
        (5, 144, 24, True, swish, 1),
        (5, 144, 24, True, swish, 1),
    )
    layers: list[nn.Module] = [conv(3, 8, 3, 2, act=swish)]
    i = 8
    for k, m, o, gate, act, s in blocks:
        layers.append(inverted(i, m, o, k, s, act, gate))
        i = o
    layers += [conv(i, 144, 1, act=swish), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(144, 256), swish(), nn.Dropout(0.2), nn.Linear(256, 10))


class C2f(nn.Module):
    """Two halves, one of them through bottlenecks; all stages are joined."""

    def __init__(self, i: int, o: int, count: int, shortcut: bool) -> None:
        super().__init__()
        half = o // 2
        self.enter = conv(i, o, 1, act=nn.SiLU)
        bodies = [
            nn.Sequential(conv(half, half, act=nn.SiLU), conv(half, half, act=nn.SiLU))
            for _ in range(count)
        ]
        self.blocks = nn.ModuleList([Residual(body) if shortcut else body for body in bodies])
        self.leave = conv(half * (2 + count), o, 1, act=nn.SiLU)

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.enter(x).chunk(2, 1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class Pyramid(nn.Module):
    """SPPF: one maximum after another, joined."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = conv(channels, channels // 2, 1, act=nn.SiLU)
        self.leave = conv(channels * 2, channels, 1, act=nn.SiLU)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.enter(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.leave(torch.cat(parts, 1))


BINS, CLASSES = 16, 3


class Detect(nn.Module):
    """The head of YOLOv8: distances to four sides as the mean of a distribution over 16 bins."""

    def __init__(self, widths: tuple[int, ...], size: int) -> None:
        super().__init__()

        def branch(i: int, m: int, o: int) -> nn.Module:
            return nn.Sequential(
                conv(i, m, act=nn.SiLU), conv(m, m, act=nn.SiLU), nn.Conv2d(m, o, 1)
            )

        self.boxes = nn.ModuleList([branch(w, 16, 4 * BINS) for w in widths])
        self.classes = nn.ModuleList([branch(w, 16, CLASSES) for w in widths])
        self.expected = nn.Conv2d(BINS, 1, 1, bias=False)
        centres, strides = [], []
        for stride in (8, 16, 32):
            line = torch.arange(size // stride) + 0.5
            y, x = torch.meshgrid(line, line, indexing="ij")
            centres.append(torch.stack([x.reshape(-1), y.reshape(-1)]))
            strides.append(torch.full((1, x.numel()), float(stride)))
        self.register_buffer("centres", torch.cat(centres, 1)[None])
        self.register_buffer("strides", torch.cat(strides, 1)[None])

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        boxes = torch.cat([b(x).flatten(2) for b, x in zip(self.boxes, maps, strict=True)], 2)
        classes = torch.cat([c(x).flatten(2) for c, x in zip(self.classes, maps, strict=True)], 2)
        count, _, places = boxes.shape
        sides = boxes.view(count, 4, BINS, places).transpose(2, 1).softmax(1)
        near, far = self.expected(sides).view(count, 4, places).chunk(2, 1)
        low, high = self.centres - near, self.centres + far
        return torch.cat([(low + high) / 2, high - low], 1) * self.strides, classes.sigmoid()


class Yolo(nn.Module):
    """YOLOv8 made narrow: backbone, neck up and down, a head for three scales."""

    def __init__(self, size: int = 96) -> None:
        super().__init__()
        act = nn.SiLU
        self.stem = nn.Sequential(
            conv(3, 8, 3, 2, act=act), conv(8, 16, 3, 2, act=act), C2f(16, 16, 1, True)
        )
        self.third = nn.Sequential(conv(16, 24, 3, 2, act=act), C2f(24, 24, 2, True))
        self.fourth = nn.Sequential(conv(24, 32, 3, 2, act=act), C2f(32, 32, 2, True))
        self.fifth = nn.Sequential(conv(32, 48, 3, 2, act=act), C2f(48, 48, 1, True), Pyramid(48))
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.up4, self.up3 = C2f(48 + 32, 32, 1, False), C2f(32 + 24, 24, 1, False)
        self.down4, self.down5 = conv(24, 24, 3, 2, act=act), conv(32, 32, 3, 2, act=act)
        self.out4, self.out5 = C2f(24 + 32, 32, 1, False), C2f(32 + 48, 48, 1, False)
        self.head = Detect((24, 32, 48), size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        third = self.third(self.stem(x))
        fourth = self.fourth(third)
        fifth = self.fifth(fourth)
        neck4 = self.up4(torch.cat([self.up(fifth), fourth], 1))
        out3 = self.up3(torch.cat([self.up(neck4), third], 1))
        out4 = self.out4(torch.cat([self.down4(out3), neck4], 1))
        out5 = self.out5(torch.cat([self.down5(out4), fifth], 1))
        return self.head([out3, out4, out5])


def series(i: int, o: int, k: int, s: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(i, o, k, s, k // 2, bias=False), nn.BatchNorm1d(o), nn.ReLU(), nn.MaxPool1d(2)
    )


def ecg() -> nn.Module:
    """Convolutions and poolings over a second of one lead."""
    return nn.Sequential(
        series(1, 16, 15, 2),
        series(16, 24, 9),
        series(24, 32, 5),
        series(32, 48, 3),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(48, 32),
        nn.LeakyReLU(0.1),
        nn.Linear(32, 4),
        nn.Softmax(1),
    )


class Causal(nn.Module):
    """Two causal convolutions: padded at both ends, what is too much at the end is cut off."""

    def __init__(self, i: int, o: int, dilation: int) -> None:
        super().__init__()
        self.late = 2 * dilation

        def layer(i: int) -> nn.Module:
            conv = nn.Conv1d(i, o, 3, padding=self.late, dilation=dilation)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            return nn.utils.parametrizations.weight_norm(conv)

        self.first, self.second = layer(i), layer(o)
        self.cut = nn.Conv1d(i, o, 1) if i != o else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first(x)[:, :, : -self.late].contiguous())
        y = F.relu(self.second(y)[:, :, : -self.late].contiguous())
        return F.relu(y + self.cut(x))


class Tcn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = (6, 24, 24, 24, 24)
        self.body = nn.Sequential(
            *(Causal(widths[n], widths[n + 1], 2**n) for n in range(len(widths) - 1))
        )
        self.classes = nn.Linear(24, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.classes(self.body(x)[:, :, -1])


def twice(i: int, o: int) -> nn.Sequential:
    return nn.Sequential(conv(i, o), conv(o, o))


class Unet(nn.Module):
    """Two levels down and two up, by transposed convolutions or bilinear."""

    def __init__(self, bilinear: bool) -> None:
        super().__init__()
        self.first, self.second, self.bottom = twice(3, 8), twice(8, 16), twice(16, 32)
        if bilinear:
            self.up2 = self.up1 = nn.Upsample(scale_factor=2, mode="bilinear")
            self.join2, self.join1 = twice(32 + 16, 16), twice(16 + 8, 8)
        else:
            self.up2 = nn.ConvTranspose2d(32, 16, 2, 2)
            self.up1 = nn.ConvTranspose2d(16, 8, 2, 2)
            self.join2, self.join1 = twice(32, 16), twice(16, 8)
        self.mask = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        second = self.second(F.max_pool2d(first, 2))
        y = self.up2(self.bottom(F.max_pool2d(second, 2)))
        y = self.up1(self.join2(torch.cat([y, second], 1)))
        return torch.softmax(self.mask(self.join1(torch.cat([y, first], 1))), 1)


def ds_cnn() -> nn.Module:
    """Depthwise separable convolutions for keywords."""
    layers: list[nn.Module] = [
        nn.Conv2d(1, 64, (10, 4), 2, (5, 1), bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
    ]
    for _ in range(4):
        layers += [conv(64, 64, 3, groups=64), conv(64, 64, 1)]
    return nn.Sequential(
        *layers, nn.Dropout(0.4), nn.AvgPool2d((25, 5)), nn.Flatten(), nn.Linear(64, 12)
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_small": mobilenet_v3_small,
    "yolo_nano": Yolo,
    "ecg": ecg,
    "tcn": Tcn,
    "unet": lambda: Unet(False),
    "unet_bilinear": lambda: Unet(True),
    "ds_cnn": ds_cnn,
}


def filled(name: str, samples: np.ndarray) -> nn.Module:
    """The network in eval mode, with batch norms that have seen ``samples``."""
    torch.manual_seed(list(NETWORKS).index(name))
    module = NETWORKS[name]()
    for part in module.modules():
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.momentum = 1.0
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0.0, 0.3)
        if isinstance(part, Detect):
            part.expected.weight.data[:] = torch.arange(float(BINS)).reshape(1, BINS, 1, 1)
    with torch.no_grad():
        module.train()(torch.from_numpy(samples))
    return module.eval()


def exported(name: str, samples: np.ndarray) -> bytes:
    """The ONNX file of a network, as torch.onnx.export writes it."""
    module = filled(name, samples)
    file = io.BytesIO()
    with silent(), torch.no_grad():
        torch.onnx.export(
            module,
            (torch.from_numpy(samples[:1]),),
            file,
            input_names=["x"],
            opset_version=17,
            dynamo=False,
        )
    return file.getvalue()
