# SPDX-License-Identifier: Apache-2.0
"""What a trained model says of its training: the classes, the numbers it expects, the data.

It travels in the metadata of the ONNX file and in the manifest of a compiled project, so that
inputs can be compared with those of training, and the test part of the same file can be found.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytailor.compiler.real_values import Standardization, saturated
from tinytailor.targets.errors import InputError

TRAINING = "tinytailor.training"  # the key in a model's metadata
MOST_SATURATED, TIMES_USUAL = 0.01, 4.0  # a share beyond both is told
MOST_MOVED, TIMES_WIDER, STILL = 2.0, 3.0, 1e-6  # in, and times, the deviation of training


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """``classes`` are names in the order of the outputs, ``labels`` what the data called them.

    ``mean`` and ``std`` are those of each channel of the raw training part, ``saturated`` the share
    of its values beyond int8. ``data`` is the specification of the data set, ``digest`` that of its
    samples and labels (see ``digest_of``), and ``seed`` what split them.
    """

    classes: tuple[str, ...]
    labels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    saturated: float
    data: str
    digest: str
    seed: int

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrainingRecord:
        """KeyError, TypeError or ValueError where something is missing or of another kind."""
        return cls(
            classes=tuple(map(str, values["classes"])),
            labels=tuple(map(str, values["labels"])),
            mean=tuple(map(float, values["mean"])),
            std=tuple(map(float, values["std"])),
            saturated=float(values["saturated"]),
            data=str(values["data"]),
            digest=str(values["digest"]),
            seed=int(values["seed"]),
        )

    @classmethod
    def read(cls, text: str, file: str) -> TrainingRecord:
        """From the metadata of the model ``file``."""
        try:
            return cls.from_json(json.loads(text))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{file}: its metadata {TRAINING} is not what tinytailor search writes "
                f"({error!r}); remove that entry, or search again"
            ) from None

    def indices(self, labels: np.ndarray, where: str) -> np.ndarray:
        """The classes (N,) int64 that ``labels`` of the data mean; names of classes do as well."""
        known = {label: index for index, label in enumerate(self.labels)}
        known |= {name: i for i, name in enumerate(self.classes) if name not in known}
        texts = [str(label) for label in labels]
        unknown = [text for text in texts if text not in known]
        if unknown:
            raise InputError(
                f"{where} holds the label {unknown[0]!r}; the classes of the model are "
                f"{', '.join(self.labels)}"
            )
        return np.array([known[text] for text in texts], np.int64)


def digest_of(arrays: Sequence[np.ndarray]) -> str:
    """16 hex digits of SHA-256 over types, shapes and contents, however they are stored."""
    digest = hashlib.sha256()
    for array in arrays:
        whole = np.ascontiguousarray(array)
        digest.update(f"{whole.dtype.str} {whole.shape}\0".encode())
        digest.update(whole.tobytes())
    return digest.hexdigest()[:16]


def unlike_training(
    name: str,
    x: np.ndarray,
    real: Standardization,
    zero_point: int,
    training: TrainingRecord | None,
    dtype: str = "int8",
) -> list[str]:
    """Sentences on numbers ``x`` (rows in the order of the device, called ``name``) that saturate,
    or whose mean and deviation in a channel are far from those of training."""
    found = []
    usual = 0.0 if training is None else training.saturated
    share = float(saturated(x, real, zero_point, dtype).mean())
    if share > max(MOST_SATURATED, TIMES_USUAL * usual):
        known = "" if training is None else f" (in training {100 * usual:.2g} %)"
        found.append(
            f"{100 * share:.3g} % of the values of {name} are beyond what {dtype} holds "
            f"here{known}: they count as its ends; are their units those of training?"
        )
    channels = 0 if training is None else len(training.mean)
    if training is None or channels == 0:
        return found
    axis = real.axis or next((a for a in range(x.ndim - 1, 0, -1) if x.shape[a] == channels), None)
    if axis is None:
        return found
    rest = tuple(a for a in range(x.ndim) if a != axis)
    means, stds = x.mean(rest, dtype=np.float64), x.std(rest, dtype=np.float64)
    known_means, known_stds = np.array(training.mean), np.array(training.std)
    moved = np.abs(means - known_means) > MOST_MOVED * known_stds
    wider = (stds > TIMES_WIDER * known_stds) | (stds < known_stds / TIMES_WIDER)
    far = np.flatnonzero(moved | (wider & (stds > STILL * known_stds)))
    if len(far):
        c = int(far[0])
        others = f", and so {len(far) - 1} more channels" if len(far) > 1 else ""
        found.append(
            f"channel {c} of {name} has mean {means[c]:.4g} and deviation {stds[c]:.4g}, in "
            f"training {training.mean[c]:.4g} and {training.std[c]:.4g}{others}: are these the "
            "numbers and the units of training, not standardised yet?"
        )
    return found
