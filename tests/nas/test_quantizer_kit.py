# SPDX-License-Identifier: Apache-2.0
"""Every quantizer passes the kit; and the kit sees what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tinytailor.nas.quantization import QUANTIZERS, Affine, Int8, Quantizer, quantize
from tinytailor.nas.testing import quantizers
from tinytailor.nas.testing.quantizers import CHECKS, NETWORKS, Subject
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.emulator, pytest.mark.torch]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("quantizer", QUANTIZERS.values(), ids=QUANTIZERS)
def test_a_quantizer_passes_the_kit(
    quantizer: Quantizer, network: str, check: Callable[[Subject], None], tmp_path: Path
) -> None:
    check(Subject(quantizer, NETWORKS[network], tmp_path))


@dataclass(frozen=True, slots=True)
class Narrow(Int8):
    """Covers half of the range that it is given."""

    def activation(self, low: float, high: float) -> Affine:
        return Int8.activation(self, low / 2, high / 2)


@dataclass(frozen=True, slots=True)
class Blunt(Int8):
    """Rounding lets no gradient through."""

    def fake_weight(self, weight: Tensor, scale: Tensor) -> Tensor:
        return Int8.fake_weight(self, weight, scale).detach() + 0 * weight


@dataclass(frozen=True, slots=True)
class Unbounded(Int8):
    """Weight scales know neither the bias nor the requantization."""

    def weight_scale(self, weight: Tensor, bias: Tensor, source: Affine, target: Affine) -> Tensor:
        return 40 * weight.detach().abs().amax(dim=(1, 2, 3)).clamp(min=1e-9)


@dataclass(frozen=True, slots=True)
class Coarse(Int8):
    """Weights become other integers than those that training sees: every eighth one."""

    def integers(self, value: Tensor, scale: Tensor) -> Tensor:
        return 8 * torch.round(Int8.integers(self, value, scale) / 8).clamp(-15, 15)

    def fake_weight(self, weight: Tensor, scale: Tensor) -> Tensor:
        return Int8().fake_weight(weight, scale)


WRONG = [
    (Narrow(), quantizers.zero_is_exact_and_ranges_are_covered),
    (Blunt(), quantizers.gradients_pass_through_the_rounding),
    (Unbounded(), quantizers.trained_integers_need_only_operators_that_were_priced),
    (Coarse(), quantizers.fake_values_are_those_of_the_integers),
    (Coarse(), quantizers.simulated_training_is_near_the_integers),
]


@pytest.mark.parametrize(("quantizer", "check"), WRONG, ids=lambda v: getattr(v, "__name__", ""))
def test_the_kit_sees_what_is_wrong(
    quantizer: Quantizer, check: Callable[[Subject], None], tmp_path: Path
) -> None:
    with pytest.raises(AssertionError):
        check(Subject(quantizer, NETWORKS["image"], tmp_path))


def test_a_bias_beyond_int32_is_refused_and_named(tmp_path: Path) -> None:
    @dataclass(frozen=True, slots=True)
    class Fine(Int8):
        def weight_scale(
            self, weight: Tensor, bias: Tensor, source: Affine, target: Affine
        ) -> Tensor:
            return torch.full((len(weight),), 1e-12)

    network = Subject(Fine(), NETWORKS["image"], tmp_path).network()
    with pytest.raises(InputError, match=r"bias of stem: .* does not fit int32"):
        network.quantized()
    whole = Subject(Int8(), NETWORKS["image"], tmp_path).network().quantized()
    stem = whole.integers["stem"]
    full = {
        **stem,
        "bias": np.full_like(stem["bias"], 2**31 - 1),
        "weight": stem["weight"] * 0 - 127,
    }
    shifted = replace(whole, integers={**whole.integers, "stem": full})
    with pytest.raises(InputError, match=r"bias of stem with its zero point: .* fit int32"):
        shifted.graph()


def test_input_quantization_rounds_half_to_even_and_saturates_like_onnx() -> None:
    affine = Affine(0.5, -3)
    x = np.array([0.0, 0.25, 0.75, -0.25, 1e9, -1e9], np.float32)
    assert quantize(x, affine).tolist() == [-3, -3, -1, -3, 127, -128]
