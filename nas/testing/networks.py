# SPDX-License-Identifier: Apache-2.0
"""Networks with weights as training leaves them, in a moment: uneven batch norm, real ranges."""

from __future__ import annotations

import numpy as np
import torch

from tinytailor.nas.network.float_network import FloatNetwork, as_input
from tinytailor.nas.network.topology import Topology
from tinytailor.nas.quantization import Quantizer
from tinytailor.nas.training.qat import QatNetwork, calibrate

SAMPLES = 24


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_input(topology: Topology, seed: int, samples: int = SAMPLES) -> np.ndarray:
    """(N, H, W, C) float32 of the network's input, standard normal."""
    shape = (samples, *topology.input_shape[1:])
    return np.random.default_rng(seed).normal(0.0, 1.0, shape).astype(np.float32)


def uneven_network(topology: Topology, x: np.ndarray, seed: int = 0) -> FloatNetwork:
    """In evaluation mode; its batch norms have seen ``x`` and have uneven factors."""
    generator = seeded(seed)
    network = FloatNetwork(topology, generator)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if "norm" in name or "bias" in name:
                value.add_(0.3 * torch.randn(value.shape, generator=generator))
        for _ in range(20):
            network.train()(as_input(x))
    return network.eval()


def quantized_network(
    topology: Topology, quantizer: Quantizer, x: np.ndarray, seed: int = 0
) -> QatNetwork:
    """The same, ready for quantization-aware training on ``x``."""
    folded = uneven_network(topology, x, seed).folded()
    activations = calibrate(topology, folded, as_input(x), quantizer)
    return QatNetwork(topology, folded, activations, quantizer)
