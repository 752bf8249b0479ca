# SPDX-License-Identifier: Apache-2.0
"""The final training of the network that a search has chosen, and its scores on the test part.

float training -> batch norm folded, ranges calibrated -> quantization-aware training -> integers

Both trainings are on the training and the validation part together, and continue from their
checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tinytailor.nas.data import Dataset
from tinytailor.nas.network.float_network import FloatNetwork
from tinytailor.nas.network.graphs import input_type
from tinytailor.nas.network.quantized_network import QuantizedNetwork
from tinytailor.nas.network.topology import Topology
from tinytailor.nas.quantization import QUANTIZERS
from tinytailor.nas.recipes import Recipe
from tinytailor.nas.scores import Scores, score_answers
from tinytailor.nas.training.class_weights import class_weights
from tinytailor.nas.training.qat import MOST_CALIBRATION_SAMPLES, QatNetwork, calibrate
from tinytailor.nas.training.samples import Samples, test_samples, training_samples
from tinytailor.nas.training.train import Teacher, fit, score
from tinytailor.targets.files import write_json

if TYPE_CHECKING:
    from tinytailor.nas.run import SearchSettings

OnEpoch = Callable[[str, int, int, float], None]  # stage, epochs done, in all, last training loss


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
    recipe: Recipe,
    folder: Path,
    on_epoch: OnEpoch,
    teacher: Teacher | None = None,
) -> Trained:
    """Float training on all training samples, then quantization-aware training; both resumable."""
    sampled = input_type(topology) != "int8"
    samples = training_samples(dataset, input_shape(topology), sampled)
    weights = class_weights(settings.class_weights, samples.y.numpy(), dataset.classes)

    generator = torch.Generator().manual_seed(2_000_003 * (settings.seed + 1))
    network = FloatNetwork(topology, generator)
    float_losses = fit(
        network,
        samples,
        recipe,
        generator,
        weights=weights,
        teacher=teacher,
        checkpoint=folder / "float.pt",
        on_epoch=partial(on_epoch, "train"),
    )
    quantizer = QUANTIZERS[settings.quantizer]
    folded = network.folded()
    activations = calibrate(topology, folded, calibration(samples), quantizer)
    integer = QatNetwork(topology, folded, activations, quantizer)
    generator.manual_seed(3_000_017 * (settings.seed + 1))
    losses = fit(
        integer,
        samples,
        recipe.quantized(settings.quantized_epochs),
        generator,
        weights=weights,
        teacher=teacher,
        checkpoint=folder / "quantized.pt",
        on_epoch=partial(on_epoch, "quantize"),
    )
    write_json(folder / "history.json", {"float_loss": float_losses, "quantized_loss": losses})
    final = integer.quantized()
    if sampled:
        final = final.sensing(dataset.lsb)
    else:
        axis = channel_axis(dataset.shape, samples.input_shape)
        final = final.reading(dataset.mean, dataset.std, axis)
    test = integer_test(final, dataset)
    scores = score_answers(test.labels, test.logits.argmax(axis=1), dataset.class_names)
    return Trained(float_test(network, dataset), scores, test, final, weights)


def calibration(samples: Samples) -> Tensor:
    """Samples (N, C, H, W) from all over the training part, and so of all its groups."""
    step = max(1, len(samples) // MOST_CALIBRATION_SAMPLES)
    return samples.rows(np.arange(0, len(samples), step)).inputs()


def input_shape(topology: Topology) -> tuple[int, int, int]:
    _, height, width, channels = topology.input_shape
    return height, width, channels


def channel_axis(sample: tuple[int, ...], shape: tuple[int, int, int]) -> int:
    """The axis of (N, H, W, C) along which the channels of samples (T, C) or (H, W, C) lie."""
    return 3 if shape[2] == sample[-1] else 2


def float_test(network: FloatNetwork, dataset: Dataset) -> Scores:
    """Scores on the test part before quantization."""
    topology = network.topology
    sampled = input_type(topology) != "int8"
    samples = test_samples(dataset, input_shape(topology), sampled)
    return score(network, samples.inputs(), samples.y, names=dataset.class_names).scores


def integer_test(network: QuantizedNetwork, dataset: Dataset) -> TestPart:
    """What the device reads and answers for the test part."""
    x = network.quantize_input(dataset.x_test)
    return TestPart(x, network.run(x), dataset.y_test)
