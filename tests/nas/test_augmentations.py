# SPDX-License-Identifier: Apache-2.0
"""What augmentations change and what they keep, and recipes that name them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tinytailor.nas.recipes import load_recipe, recipe_names
from tinytailor.nas.testing.networks import seeded
from tinytailor.nas.training.augmentations import (
    AUGMENTATIONS,
    Batch,
    Livelier,
    Masked,
    Mirrored,
    Moved,
    Rotated,
    Scaled,
    Shifted,
    Wandering,
    Warped,
)
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.torch]

COUNT, TIME, CHANNELS = 6, 40, 6


def series() -> Tensor:
    return torch.randn((COUNT, TIME, CHANNELS), generator=seeded(0))


TRIADS = ((0, 1, 2), (3, 4, 5))


def batch(**known: Any) -> Batch:
    plain = Batch(torch.zeros(CHANNELS), torch.ones(CHANNELS), TRIADS, TRIADS)
    return replace(plain, **known)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_keeps_shape_and_source_and_follows_its_generator(name: str) -> None:
    x = series()
    before, known = x.clone(), batch(following=series().flip(0), follows=torch.ones(COUNT).long())
    one = AUGMENTATIONS[name]()
    torch.manual_seed(1)
    first = one(x, known, seeded(3))
    torch.manual_seed(2)
    again = one(x, known, seeded(3))
    assert first.shape == x.shape
    assert torch.equal(x, before)
    assert torch.equal(first, again)
    assert not torch.equal(first, x)


def test_a_shift_continues_in_the_window_that_follows() -> None:
    whole = torch.arange(2.0 * TIME)[None, :, None].repeat(COUNT, 1, CHANNELS)
    x, after = whole[:, :TIME], whole[:, TIME // 2 : TIME // 2 + TIME]
    follows = torch.tensor([1, 1, 1, 1, 1, 0])
    moved = Shifted(0.5)(x, batch(following=after, follows=follows), seeded(0))
    steps = moved[:, 1:] - moved[:, :-1]
    assert torch.all(steps == 1), "no jump and no repetition"
    assert int((moved[:5, 0, 0] > 0).sum()) > 0
    assert torch.equal(moved[5], x[5])
    assert torch.equal(Shifted(0.5)(x, batch(), seeded(0)), x)


def test_a_rotation_turns_all_triads_alike_and_keeps_their_lengths() -> None:
    x = series()
    x[:, :, 3:] = x[:, :, :3]
    turned = Rotated(30.0)(x, batch(), seeded(0))
    torch.testing.assert_close(turned[:, :, :3].norm(dim=2), x[:, :, :3].norm(dim=2))
    torch.testing.assert_close(turned[:, :, :3], turned[:, :, 3:])
    assert torch.equal(Rotated(30.0)(x, batch(triads=()), seeded(0)), x)


def test_gains_of_what_moves_leave_the_mean_alone() -> None:
    x = series() + 5
    lively = Livelier(0.5)(x, batch(), seeded(0))
    torch.testing.assert_close(lively.mean(1), x.mean(1))
    ratio = lively.std(1) / x.std(1)
    torch.testing.assert_close(ratio[:, :3], ratio[:, :1].expand(-1, 3))
    assert float((ratio[:, 0] - ratio[:, 3]).abs().max()) > 0.01, "groups have gains of their own"


def test_a_warp_keeps_the_middle_and_a_straight_line_straight() -> None:
    line = torch.arange(float(TIME))[None, :, None].repeat(COUNT, 1, 1)
    warped = Warped(0.3)(line, batch(), seeded(0))
    torch.testing.assert_close(warped[:, 19] + warped[:, 20], torch.full((COUNT, 1), TIME - 1.0))
    inside = warped[:, 15:25]
    steps = inside[:, 1:] - inside[:, :-1]
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps), rtol=1e-3, atol=1e-3)


def test_masks_set_runs_to_the_mean() -> None:
    x = series() + 100
    hidden = Masked(axis=1, most=0.5)(x, batch(), seeded(1)) == 0
    rows = hidden.all(2)
    assert torch.equal(rows, hidden.any(2)), "a hidden step is hidden in all channels"
    assert 0 < int(rows.sum()) <= COUNT * TIME // 2
    changes = (rows[:, 1:] != rows[:, :-1]).sum(1)
    assert int(changes.max()) <= 2, "one run each"


def test_images_are_moved_along_both_sides_and_mirrored() -> None:
    x = torch.arange(float(COUNT * 8 * 8)).reshape(COUNT, 8, 8, 1)
    known = Batch(torch.zeros(1), torch.ones(1))
    assert torch.equal(Mirrored(1.0)(x, known, seeded(0)), x.flip(2))
    moved = Moved(0.25, axes=2)(x, known, seeded(0))
    assert set(moved.flatten().tolist()) <= set(x.flatten().tolist())
    assert not torch.equal(moved, Moved(0.25, axes=1)(x, known, seeded(0)))


def test_scales_and_wander_are_of_the_size_that_is_asked_for() -> None:
    known = batch(mean=torch.full((CHANNELS,), 3.0))
    x = torch.full((400, TIME, CHANNELS), 5.0)
    gain = (Scaled(0.1)(x, known, seeded(0))[:, 0, 0] - 3) / 2
    assert float(gain.std()) == pytest.approx(0.1, rel=0.15)
    wander = Wandering(0.2)(x, known, seeded(0)) - x
    assert float(wander.std()) == pytest.approx(0.2 / 2**0.5, rel=0.2)


def test_every_recipe_loads_and_is_fitted_to_few_samples() -> None:
    for name in recipe_names():
        recipe = load_recipe(name)
        assert recipe.name == name
        few = recipe.fitted(40)
        assert few.batch == 8
        assert few.epochs * 5 >= recipe.steps, "few samples are seen more often"
        many = recipe.fitted(100_000)
        assert (many.batch, many.epochs) == (recipe.batch, recipe.epochs)
        assert recipe.fitted(100_000, epochs=3, batch=7).epochs == 3
        assert recipe.quantized().epochs == recipe.quantized_epochs


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("batch = 128", "batch = 0", 'key "training.batch" is 0; expected a whole number'),
        ("epochs", "epoch", 'key "training.epochs" is missing'),
        ("dropout", "drop", 'key "training.dropout" is missing'),
        ('name = "warped"', 'name = "bent"', r'"augment.name" is \'bent\''),
        ("degrees = 10.0", "degree = 10.0", 'unknown key "augment.degree"'),
        ("degrees = 10.0", 'degrees = "ten"', "\"augment.degrees\" is 'ten'; expected a number"),
        ("[training]", "[trainings]", 'key "training" is missing'),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_sentence(
    old: str, new: str, sentence: str, tmp_path: Path
) -> None:
    import tinytailor.nas.recipes as recipes

    text = (recipes.FOLDER / "inertial.toml").read_text()
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=rf"mine\.toml: .*{sentence}"):
        load_recipe(str(tmp_path / "mine.toml"))


def test_an_unknown_recipe_and_a_missing_file_are_named() -> None:
    with pytest.raises(InputError, match="no recipe is called 'inertia'; did you mean inertial"):
        load_recipe("inertia")
    with pytest.raises(InputError, match=r"none\.toml: cannot be read"):
        load_recipe("none.toml")
