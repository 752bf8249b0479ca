# SPDX-License-Identifier: Apache-2.0
"""Small networks as people bring them, in torch: one function each, in ``NETWORKS``.

Weights are random but seeded. ``settled`` gives batch norms statistics of random data, so that the
activations of deep networks neither vanish nor grow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from published_networks import (
    anomaly_autoencoder,
    chomped_tcn,
    ds_cnn,
    gesture_cnn,
    inception,
    m5_raw_audio,
    mcunet,
    mobilenet_v3,
    person_detection,
    shuffle_net,
    squeeze_excite_net,
    tc_resnet,
    temporal_conv,
    transposed_decoder,
    unet,
)
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch_layers import Apply, conv_bn, series_bn

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Network:
    """``inputs``: the shapes the network reads, batch 1 in front."""

    build: Callable[[], nn.Module]
    inputs: Shapes


def open_batch_norm() -> nn.Module:
    """Batch norms that follow no layer: at the input, and before the convolution."""
    return nn.Sequential(
        nn.BatchNorm2d(2),
        nn.Conv2d(2, 8, 3, 1, 1),
        nn.ReLU(),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, 2, 1),
        nn.Flatten(),
        nn.Linear(8 * 16, 3),
    )


def poolings() -> nn.Module:
    """Averages that count their padding and that do not, global maximum and mean together."""

    def head(m: Apply, x: Tensor) -> Tensor:
        y = m.body(x)
        return m.fc(
            torch.cat([F.adaptive_max_pool2d(y, 1), y.mean((2, 3), keepdim=True)], 1).flatten(1)
        )

    body = nn.Sequential(
        conv_bn(1, 8, act=nn.ReLU()),
        nn.AvgPool2d(3, 2, 1, count_include_pad=True),
        conv_bn(8, 8, act=nn.ReLU()),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.AvgPool2d(2, 1),
        nn.LeakyReLU(0.1),
    )
    return Apply(head, body=body, fc=nn.Linear(16, 3))


def two_sensors() -> nn.Module:
    """An accelerometer and a gyroscope, a branch each; classes and a strength come out."""

    def forward(m: Apply, a: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        joined = torch.cat([m.left(a), m.right(g)], 1)
        shared = F.relu(m.shared(joined.mean(2)))
        return m.classes(shared), torch.tanh(m.strength(shared))

    return Apply(
        forward,
        left=series_bn(3, 8, 5),
        right=series_bn(3, 8, 3),
        shared=nn.Linear(16, 12),
        classes=nn.Linear(12, 6),
        strength=nn.Linear(12, 1),
    )


def resnet() -> nn.Module:
    """Residual blocks with a strided 1 x 1 shortcut, as MLPerf Tiny's ResNet8."""

    def block(i: int, o: int, s: int) -> nn.Module:
        main = nn.Sequential(conv_bn(i, o, 3, s, act=nn.ReLU()), conv_bn(o, o, 3))
        cut = nn.Identity() if s == 1 else conv_bn(i, o, 1, s)
        return Apply(lambda m, x: F.relu(m.main(x) + m.cut(x)), main=main, cut=cut)

    return nn.Sequential(
        conv_bn(3, 8, act=nn.ReLU()),
        block(8, 8, 1),
        block(8, 16, 2),
        block(16, 32, 2),
        nn.AvgPool2d(4),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def lenet() -> nn.Module:
    """Flatten of an NCHW map before a dense layer; tanh and average pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 8, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 16, 24),
        nn.Tanh(),
        nn.Linear(24, 10),
    )


def permuted() -> nn.Module:
    """A map is turned to NHWC before it is flattened for a dense layer."""
    return Apply(
        lambda m, x: m.fc(F.relu(m.conv(x)).permute(0, 2, 3, 1).flatten(1)),
        conv=nn.Conv2d(2, 6, 3, 2),
        fc=nn.Linear(6 * 9, 4),
    )


def turned_series() -> nn.Module:
    """(N, T, C) input turned to (N, C, T); strides, groups; the maximum over time."""
    body = nn.Sequential(series_bn(6, 12, 5, 2), series_bn(12, 12, 3, 1, 12), series_bn(12, 12, 1))
    return Apply(
        lambda m, x: torch.softmax(m.fc(m.body(x.transpose(1, 2)).amax(2)), -1),
        body=body,
        fc=nn.Linear(12, 6),
    )


def har_picture() -> nn.Module:
    """Activity recognition with 2-D convolutions along time only: (N, 1, T, sensors)."""
    return nn.Sequential(
        nn.Conv2d(1, 8, (5, 1), (2, 1), (2, 0)),
        nn.ReLU(),
        nn.Conv2d(8, 8, (5, 1), (2, 1)),
        nn.ReLU(),
        nn.MaxPool2d((2, 1)),
        nn.Flatten(),
        nn.Linear(8 * 7 * 6, 6),
        nn.Sigmoid(),
    )


def clipped() -> nn.Module:
    """Activation functions of other kinds: ELU, ReLU1, PReLU, SELU, GELU's cheap relatives."""
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, 1, 1),
        nn.ELU(),
        nn.Conv2d(8, 8, 3, 2, 1),
        nn.Hardtanh(-1.0, 1.0),
        nn.Conv2d(8, 8, 1),
        nn.Softplus(),
        nn.Conv2d(8, 8, 1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(128, 3),
    )


def mixer() -> nn.Module:
    """Dense layers along the last axis of a map, and along its other one after a transpose."""

    def forward(m: Apply, x: Tensor) -> Tensor:
        y = x + m.tokens(x.transpose(1, 2)).transpose(1, 2)
        return m.fc(F.relu(m.channels(y)).mean(1))

    return Apply(forward, tokens=nn.Linear(10, 10), channels=nn.Linear(8, 12), fc=nn.Linear(12, 3))


def grouped() -> nn.Module:
    """Groups (not depthwise), depth multipliers, pixel shuffle."""
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, 1, 1, groups=4),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, 2, 1, groups=2),
        nn.ReLU(),
        nn.PixelShuffle(2),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.PixelUnshuffle(2),
        nn.Flatten(),
        nn.Linear(16 * 16, 2),
    )


def turned_picture() -> nn.Module:
    """(N, H, W, C) input, as models that came from TensorFlow have, pads of its own, a tap."""

    def forward(m: Apply, x: Tensor) -> tuple[Tensor, Tensor]:
        y = F.relu(m.first(F.pad(x.permute(0, 3, 1, 2), (0, 1, 0, 1))))
        z = F.relu(m.second(F.pad(y, (2, 1, 1, 3))))
        return m.fc(F.max_pool2d(z, 2, 3).mean((2, 3))), z.permute(0, 2, 3, 1)

    return Apply(
        forward,
        first=nn.Conv2d(3, 6, 3, 2),
        second=nn.Conv2d(6, 8, (2, 4), (1, 2), dilation=(2, 1)),
        fc=nn.Linear(8, 4),
    )


def normalized_pixels() -> nn.Module:
    """The input is brought to mean 0 and variance 1 by the model itself; constants in between."""

    def forward(m: Apply, x: Tensor) -> Tensor:
        y = F.relu6(m.conv((x - m.mean) / m.deviation)) * 0.5 + 1.0
        return m.fc((2.0 - y).flatten(1)) / 4.0

    net = Apply(forward, conv=nn.Conv2d(3, 4, 3, 2), fc=nn.Linear(4 * 25, 3))
    net.register_buffer("mean", torch.tensor([0.4, 0.5, -0.3]).reshape(1, 3, 1, 1))
    net.register_buffer("deviation", torch.tensor([0.2, 0.3, 0.25]).reshape(1, 3, 1, 1))
    return net


def dense_block() -> nn.Module:
    """DenseNet: each layer reads the concatenation of all before it; BN and ReLU come first."""

    def forward(m: Apply, x: Tensor) -> Tensor:
        maps = [m.enter(x)]
        for layer in (m.one, m.two, m.three):
            maps.append(layer(torch.cat(maps, 1)))
        return m.fc(F.avg_pool2d(m.shrink(torch.cat(maps, 1)), 2).flatten(1))

    def layer(i: int) -> nn.Module:
        return nn.Sequential(nn.BatchNorm2d(i), nn.ReLU(), nn.Conv2d(i, 4, 3, 1, 1, bias=False))

    return Apply(
        forward,
        enter=nn.Conv2d(2, 8, 3, 2, 1),
        one=layer(8),
        two=layer(12),
        three=layer(16),
        shrink=nn.Conv2d(20, 6, 1),
        fc=nn.Linear(6 * 16, 5),
    )


def shared_weights() -> nn.Module:
    """One layer used twice, and one tensor read by three: a siamese net with a difference."""

    def forward(m: Apply, a: Tensor, b: Tensor) -> Tensor:
        x, y = m.tower(a).flatten(1), m.tower(b).flatten(1)
        return torch.sigmoid(m.fc(torch.cat([x - y, x * y, x + y], 1)))

    return Apply(
        forward,
        tower=nn.Sequential(conv_bn(1, 4, 3, 2, act=nn.ReLU()), nn.MaxPool2d(2)),
        fc=nn.Linear(48, 1),
    )


def split_heads() -> nn.Module:
    """Channels cut in three unequal parts, each with its own kernel (MixConv), joined in time."""

    def forward(m: Apply, x: Tensor) -> Tensor:
        a, b, c = torch.split(m.enter(x), [4, 6, 2], 1)
        y = torch.cat([m.three(a), m.five(b), c], 1)
        early, late = y[:, :, ::2], y[:, :, 1::2]
        return m.fc(torch.cat([early, F.max_pool1d(late, 2, 1, 1)[:, :, :12]], 2).amax(2))

    return Apply(
        forward,
        enter=series_bn(3, 12, 3),
        three=nn.Conv1d(4, 4, 3, 1, 1, groups=4),
        five=nn.Conv1d(6, 6, 5, 1, 2, groups=6),
        fc=nn.Linear(12, 4),
    )


NETWORKS: dict[str, Network] = {
    "person_detection": Network(person_detection, ((1, 1, 48, 48),)),
    "anomaly_autoencoder": Network(anomaly_autoencoder, ((1, 640),)),
    "ds_cnn": Network(ds_cnn, ((1, 1, 49, 10),)),
    "tc_resnet": Network(tc_resnet, ((1, 40, 50),)),
    "m5_raw_audio": Network(m5_raw_audio, ((1, 1, 2000),)),
    "gesture_cnn": Network(gesture_cnn, ((1, 1, 128, 3),)),
    "mcunet": Network(mcunet, ((1, 3, 32, 32),)),
    "squeeze_excite": Network(squeeze_excite_net, ((1, 3, 16, 16),)),
    "mobilenet_v3": Network(mobilenet_v3, ((1, 3, 16, 16),)),
    "shuffle_net": Network(shuffle_net, ((1, 3, 16, 16),)),
    "unet": Network(unet, ((1, 1, 16, 16),)),
    "transposed_decoder": Network(transposed_decoder, ((1, 1, 16, 16),)),
    "temporal_conv": Network(temporal_conv, ((1, 6, 40),)),
    "chomped_tcn": Network(chomped_tcn, ((1, 4, 30),)),
    "inception": Network(inception, ((1, 3, 20, 20),)),
    "open_batch_norm": Network(open_batch_norm, ((1, 2, 8, 8),)),
    "poolings": Network(poolings, ((1, 1, 16, 16),)),
    "two_sensors": Network(two_sensors, ((1, 3, 32), (1, 3, 32))),
    "resnet": Network(resnet, ((1, 3, 16, 16),)),
    "lenet": Network(lenet, ((1, 1, 28, 28),)),
    "permuted": Network(permuted, ((1, 2, 8, 8),)),
    "turned_series": Network(turned_series, ((1, 30, 6),)),
    "har_picture": Network(har_picture, ((1, 1, 64, 6),)),
    "clipped": Network(clipped, ((1, 2, 8, 8),)),
    "mixer": Network(mixer, ((1, 10, 8),)),
    "turned_picture": Network(turned_picture, ((1, 14, 13, 3),)),
    "normalized_pixels": Network(normalized_pixels, ((1, 3, 12, 12),)),
    "dense_block": Network(dense_block, ((1, 2, 16, 16),)),
    "shared_weights": Network(shared_weights, ((1, 1, 8, 8), (1, 1, 8, 8))),
    "split_heads": Network(split_heads, ((1, 3, 24),)),
    "grouped": Network(grouped, ((1, 4, 8, 8),)),
}


def network(name: str, seed: int = 0) -> nn.Module:
    """The network in eval mode, with batch norms that have seen random data."""
    torch.manual_seed(seed)
    module = NETWORKS[name].build()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.momentum = 1.0
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0.0, 0.3)
    with torch.no_grad():
        module.train()(*(torch.randn(8, *shape[1:]) for shape in NETWORKS[name].inputs))
    return module.eval()
