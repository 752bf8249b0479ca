# SPDX-License-Identifier: Apache-2.0
"""Every kind of layer passes the kit; and the kit sees what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tinytailor.compiler.ir import Shape
from tinytailor.nas.layers import KINDS, Kind
from tinytailor.nas.layers.addition import Addition
from tinytailor.nas.layers.base import Step
from tinytailor.nas.layers.convolution import Convolution
from tinytailor.nas.layers.filters import whole_numbers
from tinytailor.nas.layers.mean_pool import MeanPool
from tinytailor.nas.testing import layers
from tinytailor.nas.testing.layers import CHECKS, Subject
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.emulator, pytest.mark.torch]

EMITTED = layers.the_emitted_c_computes_the_same_on_host_and_emulator


def cases() -> list[Any]:
    """Every check of every example; C of all but the first example of a kind is for the night."""
    found = []
    for name, kind in KINDS.items():
        for index, (example, shapes) in enumerate(kind.examples()):
            for check in CHECKS:
                marks = [pytest.mark.nightly] if index and check is EMITTED else []
                case = f"{name}-{index}-{check.__name__}"
                found.append(pytest.param(check, example, shapes, id=case, marks=marks))
    return found


@pytest.mark.parametrize(("check", "kind", "shapes"), cases())
def test_a_kind_of_layer_passes_the_kit(
    check: Callable[[Subject], None], kind: Kind, shapes: tuple[Shape, ...], tmp_path: Path
) -> None:
    check(Subject(kind, shapes, tmp_path))


@dataclass(frozen=True, slots=True)
class Doubled(Addition):
    """Its meaning in torch is another one than its operator's."""

    def compute(self, weights: Any, *values: Tensor) -> Tensor:
        return values[0] + 2 * values[1]


@dataclass(frozen=True, slots=True)
class Shifted(MeanPool):
    """Quantized with another zero point than what it reads, which its operator does not see."""

    def quantization(self, quantizer: Any, low: float, high: float, reads: Any) -> Any:
        return replace(MeanPool.quantization(self, quantizer, low, high, reads), zero_point=3)


@dataclass(frozen=True, slots=True)
class Unfilled(Convolution):
    """The bias is lost on its way into the operator."""

    def filled(self, op: Any, integers: Any, reads: Any, writes: Any) -> Any:
        done, constants = Convolution.filled(self, op, integers, reads, writes)
        return done, {**constants, "bias": np.zeros_like(constants["bias"])}


@dataclass(frozen=True, slots=True)
class Dilated(Convolution):
    """Priced as another operator than the one that the file becomes."""

    def operator(self, *shapes: Shape) -> Any:
        op: Any = Convolution.operator(self, *shapes)
        return replace(op, window=replace(op.window, stride=(1, 1)))


@dataclass(frozen=True, slots=True)
class Forgetful(Convolution):
    """Trained weights do not reach the folded form."""

    def trained(self, shapes: tuple[Shape, ...], generator: torch.Generator) -> Any:
        module = Convolution.trained(self, shapes, generator)
        whole = module.folded
        module.folded = lambda: {k: v + 0.1 for k, v in whole().items()}
        return module


@dataclass(frozen=True, slots=True)
class Stubborn(Convolution):
    """Writes as many channels as it likes."""

    def at(self, channels: int) -> Kind:
        return self


@dataclass(frozen=True, slots=True)
class Dangling(Addition):
    """Nothing writes its output."""

    def steps(self, *shapes: Shape) -> tuple[Step, ...]:
        return (Step(self, (0, 1), "sum"),)


WRONG = [
    (Doubled(), layers.float_torch_is_float_onnx),
    (Shifted(), layers.evaluation_is_the_integer_graph_and_the_imported_file),
    (Unfilled((3, 3), channels=8), layers.evaluation_is_the_integer_graph_and_the_imported_file),
    (Unfilled((3, 3), channels=8), layers.simulated_training_is_near_the_integers),
    (Dilated((3, 3), (2, 2), channels=8), layers.what_is_priced_is_what_is_compiled),
    (Forgetful((3, 3), channels=8), layers.folding_changes_nothing),
    (Stubborn((3, 3), channels=8), layers.it_writes_as_many_channels_as_it_is_asked_for),
    (Dangling(), layers.its_steps_read_what_is_there_and_the_last_one_writes_its_output),
    (Doubled(), layers.it_is_a_value_of_a_registered_kind),
]


@pytest.mark.parametrize(("kind", "check"), WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_the_kit_sees_what_is_wrong(
    kind: Kind, check: Callable[[Subject], None], tmp_path: Path
) -> None:
    ((_, shapes), *_) = KINDS[kind.name].examples()
    check(Subject(KINDS[kind.name].examples()[0][0], shapes, tmp_path))
    with pytest.raises((AssertionError, InputError)):
        check(Subject(kind, shapes, tmp_path))


@pytest.mark.parametrize("value", [128.0, -1e10, float("nan")])
def test_what_does_not_fit_an_integer_type_is_one_sentence(value: float) -> None:
    assert whole_numbers(np.array([-128.0, 127.0]), "int8", "weights").tolist() == [-128, 127]
    with pytest.raises(InputError, match=r"^bias of stem: .* does not fit int8; .*train again$"):
        whole_numbers(np.array([0.0, value]), "int8", "bias of stem")
