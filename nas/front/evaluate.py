# SPDX-License-Identifier: Apache-2.0
"""What a network of the space is worth, without training it: its int8 score under shared weights.

For each fold the network is taken out of the weights that were trained on the fold's training part:
batch norm estimated anew, ranges calibrated and weights rounded, both from samples of all groups;
then it answers what the fold holds out. Rounding is simulated in float, which differs from the
integers only where a sum lies on the edge of two.

Every result is a line of RUN/candidates.jsonl, so whoever asks again, in this process or in the one
that goes on with the run, gets it at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from tinytailor.nas.front.ground import Ground, Judged, Split
from tinytailor.nas.network.float_network import FloatNetwork
from tinytailor.nas.quantization import Quantizer
from tinytailor.nas.spaces import Architecture
from tinytailor.nas.supernet.shared import SharedNetwork
from tinytailor.nas.training.qat import QatNetwork, calibrate

ESTIMATED = 1024  # samples from which batch norm is estimated
CALIBRATED = 256  # of them, from which ranges are


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Shared weights, and samples (N, C, H, W) of the part that they learned and of the other."""

    shared: SharedNetwork
    learned: Tensor
    x: Tensor
    y: Tensor

    @classmethod
    def of(cls, shared: SharedNetwork, split: Split, seed: int) -> Fold:
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randperm(len(split.train), generator=generator)[:ESTIMATED]
        learned = split.train.rows(rows.numpy()).inputs()
        return cls(shared, learned, split.valid.inputs(), split.valid.y)

    def int8(self, arch: Architecture, quantizer: Quantizer) -> Tensor:
        """Logits (N, classes) of the quantized network for what is held out."""
        return simulated(self.shared.network(arch, self.learned), self.learned, self.x, quantizer)


def simulated(network: FloatNetwork, learned: Tensor, x: Tensor, quantizer: Quantizer) -> Tensor:
    """Logits of ``network``, rounded as ``quantizer`` does after ``learned``, for ``x``."""
    folded = network.folded()
    activations = calibrate(network.topology, folded, learned[:CALIBRATED], quantizer)
    rounded = QatNetwork(network.topology, folded, activations, quantizer).train()
    with torch.no_grad():
        return torch.cat([rounded(part) for part in x.split(1024)])


@dataclass(frozen=True, slots=True)
class Estimate:
    """``score``: the metric, mean over folds; ``loss``: the cross entropy; ``folds``: the scores
    of each."""

    score: float
    loss: float
    folds: tuple[float, ...]

    @classmethod
    def over(cls, folds: Sequence[Judged]) -> Estimate:
        scores = tuple(one.score for one in folds)
        return cls(fmean(scores), fmean(one.loss for one in folds), scores)

    @property
    def rank(self) -> tuple[float, float]:
        """Higher is better: the score, then the loss."""
        return self.score, -self.loss


@dataclass(slots=True)
class Evaluator:
    """Estimates of architectures, under the shared networks of ``folds``.

    ``known``: those that were asked for, in this order, which is the same in a run that goes on;
    ``stored``: what the file at ``path`` holds.
    """

    ground: Ground
    folds: Sequence[Fold]
    path: Path
    on_new: Callable[[int, Estimate], None] = lambda count, estimate: None
    known: dict[Architecture, Estimate] = field(default_factory=dict)
    stored: dict[Architecture, Estimate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.exists():
            self.stored = dict(map(_read, whole_lines(self.path)))

    def __call__(self, arch: Architecture) -> Estimate:
        if arch in self.known:
            return self.known[arch]
        if arch not in self.stored:
            self.stored[arch] = self._estimate(arch)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(_record(arch, self.stored[arch])) + "\n")
        self.known[arch] = self.stored[arch]
        self.on_new(len(self.known), self.known[arch])
        return self.known[arch]

    def _estimate(self, arch: Architecture) -> Estimate:
        quantizer = self.ground.quantizer
        pairs = [(fold.int8(arch, quantizer), fold.y) for fold in self.folds]
        return Estimate.over([self.ground.judge(logits, y) for logits, y in pairs])


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a file whose last line may have been cut off by a kill."""
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines[-1]:
        path.write_text("\n".join([*lines[:-1], ""]), encoding="utf-8")
    return [json.loads(line) for line in lines[:-1]]


def _record(arch: Architecture, estimate: Estimate) -> dict[str, Any]:
    return {
        "architecture": arch.to_json(),
        "score": estimate.score,
        "loss": estimate.loss,
        "folds": list(estimate.folds),
    }


def _read(record: dict[str, Any]) -> tuple[Architecture, Estimate]:
    estimate = Estimate(record["score"], record["loss"], tuple(record["folds"]))
    return Architecture.from_json(record["architecture"]), estimate
