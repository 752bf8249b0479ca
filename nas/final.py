# SPDX-License-Identifier: Apache-2.0
"""The final training of the network that a search has chosen, and its scores on the test part.

float training -> batch norm folded, ranges calibrated -> quantization-aware training -> integers

Both trainings are on the training and the validation part together, and continue from their
checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tinytailor.nas.data import Dataset
from tinytailor.nas.network.float_network import FloatNetwork, as_input
from tinytailor.nas.network.quantized_network import QuantizedNetwork
from tinytailor.nas.network.topology import Topology
from tinytailor.nas.quantization import QUANTIZERS
from tinytailor.nas.scores import Scores, score_answers
from tinytailor.nas.training.class_weights import class_weights
from tinytailor.nas.training.qat import QatNetwork, calibrate
from tinytailor.nas.training.train import Training, fit, score
from tinytailor.targets.files import write_json

if TYPE_CHECKING:
    from tinytailor.nas.run import SearchSettings

IMAGE_SHIFT = 0.125  # 4 pixels of 32, as is usual for CIFAR-10
OnEpoch = Callable[[str, int, int, float], None]  # stage, epochs done, in all, last training loss


def base_training(dataset: Dataset) -> Training:
    """How samples of this kind are augmented: images move along both sides, and further."""
    images = len(dataset.shape) == 3
    return Training(shift=IMAGE_SHIFT, shift_axes=(2, 3)) if images else Training()


@dataclass(frozen=True, slots=True, eq=False)
class TestPart:
    """Inputs int8 (N, H, W, C) as the device reads them, logits int8 (N, classes), labels (N,)."""

    inputs: np.ndarray
    logits: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The final network: scores of its floats and of its integers on the test part, what the
    integers read and answer there, and the weights of the classes in the loss."""

    float_scores: Scores
    scores: Scores
    test: TestPart
    network: QuantizedNetwork
    weights: Tensor | None


def train_final(
    settings: SearchSettings,
    dataset: Dataset,
    topology: Topology,
    folder: Path,
    on_epoch: OnEpoch,
) -> Trained:
    """Float training on all training samples, then quantization-aware training; both resumable."""
    samples, labels = dataset.all_train()
    x, y = as_input(dataset.standardised(samples)), torch.from_numpy(labels)
    weights = class_weights(settings.class_weights, labels, dataset.classes)

    generator = torch.Generator().manual_seed(2_000_003 * (settings.seed + 1))
    network = FloatNetwork(topology, generator)
    training = replace(base_training(dataset), epochs=settings.epochs, batch=settings.batch)
    float_losses = fit(
        network,
        x,
        y,
        training,
        generator,
        weights=weights,
        checkpoint=folder / "float.pt",
        on_epoch=partial(on_epoch, "train"),
    )
    quantizer = QUANTIZERS[settings.quantizer]
    folded = network.folded()
    activations = calibrate(topology, folded, x, quantizer)
    integer = QatNetwork(topology, folded, activations, quantizer)
    fine = replace(training, epochs=settings.quantized_epochs, learning_rate=1e-3, weight_decay=0.0)
    generator.manual_seed(3_000_017 * (settings.seed + 1))
    losses = fit(
        integer,
        x,
        y,
        fine,
        generator,
        weights=weights,
        checkpoint=folder / "quantized.pt",
        on_epoch=partial(on_epoch, "quantize"),
    )
    write_json(folder / "history.json", {"float_loss": float_losses, "quantized_loss": losses})
    final = integer.quantized().reading(dataset.mean, dataset.std, axis=len(dataset.shape))
    test = integer_test(final, dataset)
    scores = score_answers(test.labels, test.logits.argmax(axis=1), dataset.class_names)
    return Trained(float_test(network, dataset), scores, test, final, weights)


def float_test(network: FloatNetwork, dataset: Dataset) -> Scores:
    """Scores on the test part before quantization."""
    x = as_input(dataset.standardised(dataset.x_test))
    return score(network, x, torch.from_numpy(dataset.y_test), names=dataset.class_names).scores


def integer_test(network: QuantizedNetwork, dataset: Dataset) -> TestPart:
    """What the device reads and answers for the test part."""
    x = network.quantize_input(dataset.x_test)
    return TestPart(x, network.run(x), dataset.y_test)
