# SPDX-License-Identifier: Apache-2.0
"""Networks after papers and published models, small: one function each."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch_layers import Apply, conv_bn, inverted, named, series_bn, squeeze_excite


def person_detection() -> nn.Module:
    """MobileNetV1 0.25: MLPerf Tiny's visual wake words, on 48 x 48 grey pixels."""
    widths = [8, 16, 32, 32, 64, 64, 128]
    strides = [1, 2, 1, 2, 1, 2]
    layers: list[nn.Module] = [conv_bn(1, widths[0], 3, 2, act=nn.ReLU6())]
    for i, o, s in zip(widths, widths[1:], strides, strict=False):
        layers += [conv_bn(i, i, 3, s, i, nn.ReLU6()), conv_bn(i, o, 1, act=nn.ReLU6())]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 2), nn.Softmax(1)]
    return nn.Sequential(*layers, *head)


def anomaly_autoencoder() -> nn.Module:
    """MLPerf Tiny's anomaly detection: dense layers with batch norm, 640 to 8 to 640."""
    sizes = [640, 128, 128, 8, 128, 128]
    layers: list[nn.Module] = []
    for i, o in pairwise(sizes):
        layers += [nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, 640))


def ds_cnn() -> nn.Module:
    """Depthwise separable keyword spotting on a 49 x 10 spectrogram, NCHW."""
    layers: list[nn.Module] = [
        nn.Sequential(
            nn.Conv2d(1, 24, (10, 4), 2, (5, 1), bias=False), nn.BatchNorm2d(24), nn.ReLU()
        )
    ]
    for _ in range(2):
        layers += [conv_bn(24, 24, 3, 1, 24, nn.ReLU()), conv_bn(24, 24, 1, act=nn.ReLU())]
    return nn.Sequential(
        *layers, nn.Dropout(0.2), nn.AvgPool2d((25, 5)), nn.Flatten(), nn.Linear(24, 12)
    )


def tc_resnet() -> nn.Module:
    """TC-ResNet8: the spectrogram's coefficients as channels of a series, residual 9-tap blocks."""

    def block(i: int, o: int) -> nn.Module:
        main = nn.Sequential(
            series_bn(i, o, 9, 2), nn.Conv1d(o, o, 9, 1, 4, bias=False), nn.BatchNorm1d(o)
        )
        return Apply(
            lambda m, x: F.relu(m.main(x) + m.cut(x)), main=main, cut=series_bn(i, o, 1, 2)
        )

    return nn.Sequential(
        nn.Conv1d(40, 16, 3, 1, 1, bias=False),
        block(16, 24),
        block(24, 32),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(32, 12),
    )


def m5_raw_audio() -> nn.Module:
    """M5: one-dimensional convolutions and poolings on raw audio."""
    return nn.Sequential(
        nn.Conv1d(1, 16, 80, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Conv1d(16, 16, 3),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(16, 35),
        nn.LogSoftmax(1),
    )


def gesture_cnn() -> nn.Module:
    """conv, pool, conv, pool, fc with dropout, on three axes of an accelerometer as a picture."""
    return named(
        ("conv1", nn.Conv2d(1, 8, (4, 3), padding="same")),
        ("relu1", nn.ReLU()),
        ("pool1", nn.MaxPool2d((3, 3))),
        ("drop1", nn.Dropout(0.1)),
        ("conv2", nn.Conv2d(8, 16, (4, 1), padding="same")),
        ("relu2", nn.ReLU()),
        ("pool2", nn.MaxPool2d((3, 1))),
        ("drop2", nn.Dropout(0.1)),
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(16 * 14, 16)),
        ("relu3", nn.ReLU()),
        ("fc2", nn.Linear(16, 4)),
        ("softmax", nn.Softmax(-1)),
    )


def mcunet() -> nn.Module:
    """Inverted residuals with kernels of 3, 5 and 7 and ReLU6, as MCUNet has them."""
    return nn.Sequential(
        conv_bn(3, 8, 3, 2, act=nn.ReLU6()),
        inverted(8, 8, 1, 3, 1, nn.ReLU6),
        inverted(8, 12, 3, 7, 2, nn.ReLU6),
        inverted(12, 12, 4, 5, 1, nn.ReLU6),
        inverted(12, 16, 5, 3, 2, nn.ReLU6),
        inverted(16, 16, 3, 3, 1, nn.ReLU6),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )


def squeeze_excite_net() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 16, 3, 2, act=nn.ReLU()),
        squeeze_excite(16, nn.Sigmoid()),
        conv_bn(16, 16, 3, 1, act=nn.SiLU()),
        squeeze_excite(16, nn.Hardsigmoid()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 5),
    )


def mobilenet_v3() -> nn.Module:
    """A MobileNetV3 block: hard swish, squeeze and excite, residual."""
    body = nn.Sequential(
        conv_bn(8, 24, 1, act=nn.Hardswish()),
        conv_bn(24, 24, 5, 1, 24, nn.Hardswish()),
        squeeze_excite(24, nn.Hardsigmoid()),
        conv_bn(24, 8, 1),
    )
    return nn.Sequential(
        conv_bn(3, 8, 3, 2, act=nn.Hardswish()),
        Apply(lambda m, x: x + m.body(x), body=body),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(8, 16, 1),
        nn.Hardswish(),
        nn.Flatten(),
        nn.Linear(16, 4),
    )


def shuffle_net() -> nn.Module:
    """A ShuffleNetV2 unit: split the channels, transform one half, concatenate, shuffle."""

    def unit(m: Apply, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1)
        joined = torch.cat([left, m.branch(right)], 1)
        n, c, h, w = joined.shape
        return joined.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)

    def branch() -> nn.Module:
        return nn.Sequential(
            conv_bn(8, 8, 1, act=nn.ReLU()), conv_bn(8, 8, 3, 1, 8), conv_bn(8, 8, 1, act=nn.ReLU())
        )

    return nn.Sequential(
        conv_bn(3, 16, 3, 2, act=nn.ReLU()),
        Apply(unit, branch=branch()),
        Apply(unit, branch=branch()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 6),
    )


def unet() -> nn.Module:
    """Down, up by the nearest neighbour, concatenation with the skipped map, a mask."""

    def forward(m: Apply, x: Tensor) -> Tensor:
        a = m.enter(x)
        b = m.down(F.max_pool2d(a, 2))
        up = F.interpolate(b, scale_factor=2.0, mode="nearest")
        return torch.sigmoid(m.out(m.join(torch.cat([up, a], 1))))

    return Apply(
        forward,
        enter=conv_bn(1, 8, act=nn.ReLU()),
        down=conv_bn(8, 16, act=nn.ReLU()),
        join=conv_bn(24, 8, act=nn.ReLU()),
        out=nn.Conv2d(8, 1, 1),
    )


def transposed_decoder() -> nn.Module:
    """An autoencoder whose decoder is of transposed convolutions."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(12, 8, 2, 2),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 1, 3, 2, 1, 1),
    )


def temporal_conv() -> nn.Module:
    """A temporal convolution network: causal padding, dilations 1, 2, 4, residual blocks."""

    def block(i: int, o: int, d: int) -> nn.Module:
        def forward(m: Apply, x: Tensor) -> Tensor:
            y = F.relu(m.first(F.pad(x, (2 * d, 0))))
            y = F.relu(m.second(F.pad(y, (2 * d, 0))))
            return F.relu(y + (m.cut(x) if i != o else x))

        parts = {"cut": nn.Conv1d(i, o, 1)} if i != o else {}
        return Apply(
            forward,
            first=nn.Conv1d(i, o, 3, dilation=d),
            second=nn.Conv1d(o, o, 3, dilation=d),
            **parts,
        )

    body = nn.Sequential(block(6, 12, 1), block(12, 12, 2), block(12, 12, 4))
    return Apply(lambda m, x: m.fc(m.body(x)[:, :, -1]), body=body, fc=nn.Linear(12, 5))


def chomped_tcn() -> nn.Module:
    """Causal by padding both ends and cutting the last ones off ("chomp")."""

    def forward(m: Apply, x: Tensor) -> Tensor:
        y = F.relu(m.a(x)[:, :, :-2])
        y = F.relu(m.b(y)[:, :, :-4].contiguous())
        return m.fc(y.mean(2))

    return Apply(
        forward,
        a=nn.Conv1d(4, 8, 3, padding=2),
        b=nn.Conv1d(8, 8, 3, padding=4, dilation=2),
        fc=nn.Linear(8, 3),
    )


def inception() -> nn.Module:
    """Fire and inception modules: branches of 1, 3, 5 and pooling, concatenated."""

    def fire(m: Apply, x: Tensor) -> Tensor:
        s = F.relu(m.squeeze(x))
        return torch.cat([F.relu(m.one(s)), F.relu(m.three(s))], 1)

    def mixed(m: Apply, x: Tensor) -> Tensor:
        pooled = m.pool(F.max_pool2d(x, 3, 1, 1))
        return torch.cat([m.one(x), m.three(x), m.five(x), pooled], dim=1)

    first = Apply(
        fire,
        squeeze=nn.Conv2d(8, 4, 1),
        one=nn.Conv2d(4, 8, 1),
        three=nn.Conv2d(4, 8, 3, padding=1),
    )
    second = Apply(
        mixed,
        one=conv_bn(16, 4, 1, act=nn.ReLU()),
        three=conv_bn(16, 6, 3, act=nn.ReLU()),
        five=conv_bn(16, 2, 5, act=nn.ReLU()),
        pool=conv_bn(16, 4, 1, act=nn.ReLU()),
    )
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        first,
        second,
        nn.AvgPool2d(3, 2, 1),
        nn.Flatten(),
        nn.Linear(16 * 4, 7),
    )
