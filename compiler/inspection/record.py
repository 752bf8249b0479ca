# SPDX-License-Identifier: Apache-2.0
"""What is known of a model file, as plain data. None always means: not known, never: none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tinytailor.compiler.ir import Shape

OpenShape = tuple[int | None, ...]  # None: a size that is free

INTEGER, FLOAT, NO_FORM = "integer", "float", "none"
AS_IT_IS, SAMPLES, RANDOM_SAMPLES = "as it is", "samples", "random samples"
CALIBRATION, ALLOW_FLOAT = "--calibration", "--allow-float"


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """An input or output: real = scale * (integer - zero_point), of integers of type ``integers``.

    ``type`` is what the file declares: float32 where a QDQ model quantizes its inputs itself.
    """

    name: str
    shape: OpenShape | None
    type: str
    integers: str | None = None
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True, slots=True)
class Quantization:
    """``form``: QDQ, QOperator, dynamic, int8, uint8, int16, int8 weights, ..., float.

    Types of activations that are quantized, types of weights; ``per_channel``: whether any weights
    have a scale for each channel. ``real``: operators that compute in float beside integers.
    """

    form: str
    activations: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    per_channel: bool = False
    real: int | None = None

    @property
    def text(self) -> str:
        """One line."""
        scale = "a scale for each channel" if self.per_channel else "one scale each"
        activations, weights = " and ".join(self.activations), " and ".join(self.weights)
        parts = [f"activations {activations or 'float'}"]
        if weights:
            whole = all(kind.startswith("float") for kind in self.weights)
            parts.append(f"weights {weights}" + ("" if whole else f" with {scale}"))
        if self.real:
            noun = "operator computes" if self.real == 1 else "operators compute"
            parts.append(f"{self.real} {noun} in float")
        return f"{self.form}: {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Format:
    """``versions``: of the schema or of operator sets, by name."""

    name: str
    versions: Mapping[str, int | str]
    producer: str


@dataclass(frozen=True, slots=True)
class FileOperator:
    """An operator as the file has it; ``place`` is where errors say it is.

    ``trial_name``: what it is called when the model is tried. ``macs``: multiply-accumulates,
    padding included; 0 of operators that are no products.
    """

    name: str
    kind: str
    place: str
    trial_name: str
    shape: OpenShape | None
    macs: int | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An operator without an integer form; ``allow_float``: whether it has one in float."""

    operator: str
    place: str
    reason: str
    allow_float: bool


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What the file says; ``unknown``: operators that are refused by their names alone."""

    format: Format
    quantization: Quantization
    quantized: bool
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]
    operators: tuple[FileOperator, ...]
    parameters: int
    weight_bytes: int
    unknown: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """A node of the integer graph."""

    name: str
    operator: str
    shape: Shape
    macs: int


@dataclass(frozen=True, slots=True)
class IntegerGraph:
    """What would be compiled. Memory is that of plain C, which every core runs: ``arena_bytes``
    are ``proven`` if no plan is smaller, ``constant_bytes`` lie in flash."""

    operators: int
    macs: int
    constant_bytes: int
    arena_bytes: int
    proven: bool
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """``forms``: of each operator of the file: integer, float (only with --allow-float), none; or
    None where it could not be tried.

    ``tried``: how it was imported to see that: as it is, with samples, with random samples; None:
    it was not. ``needs``: the options that it takes, besides what is refused.
    """

    model: str
    bytes: int
    file: ModelFile
    forms: tuple[str | None, ...]
    tried: str | None
    accepted: bool
    needs: tuple[str, ...]
    refused: tuple[Refusal, ...]
    problems: tuple[str, ...]
    graph: IntegerGraph | None

    @property
    def macs(self) -> int:
        """Of all operators whose number is known."""
        return sum(operator.macs or 0 for operator in self.file.operators)

    @property
    def macs_unknown(self) -> int:
        """How many operators these are not the MACs of."""
        return sum(operator.macs is None for operator in self.file.operators)

    def to_json(self) -> dict[str, Any]:
        file = self.file
        return {
            "model": self.model,
            "bytes": self.bytes,
            "format": asdict(file.format),
            "quantization": {**asdict(file.quantization), "text": file.quantization.text},
            "inputs": [asdict(tensor) for tensor in file.inputs],
            "outputs": [asdict(tensor) for tensor in file.outputs],
            "parameters": file.parameters,
            "weight_bytes": file.weight_bytes,
            "macs": self.macs,
            "macs_unknown": self.macs_unknown,
            "operators": self.kinds(),
            "layers": [
                {
                    "name": operator.name,
                    "operator": operator.kind,
                    "shape": operator.shape,
                    "macs": operator.macs,
                    "form": form,
                }
                for operator, form in zip(file.operators, self.forms, strict=True)
            ],
            "tried": self.tried,
            "accepted": self.accepted,
            "needs": self.needs,
            "refused": [asdict(refusal) for refusal in self.refused],
            "problems": self.problems,
            "graph": None if self.graph is None else asdict(self.graph),
        }

    def kinds(self) -> list[dict[str, Any]]:
        """Of each kind of operator how many there are, their MACs, and how many have which form."""
        groups: dict[str, list[tuple[FileOperator, str | None]]] = {}
        for operator, form in zip(self.file.operators, self.forms, strict=True):
            groups.setdefault(operator.kind, []).append((operator, form))
        return [
            {
                "operator": kind,
                "count": len(group),
                "macs": total([operator.macs for operator, _ in group]),
                "forms": {
                    form or "not tried": count
                    for form in (INTEGER, FLOAT, NO_FORM, None)
                    if (count := sum(found == form for _, found in group))
                },
            }
            for kind, group in groups.items()
        ]


def total(numbers: Sequence[int | None]) -> int | None:
    """Their sum, if all are known."""
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
