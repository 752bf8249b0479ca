# SPDX-License-Identifier: Apache-2.0
"""A recipe for trainings of a moment."""

from __future__ import annotations

from dataclasses import replace

from tinytailor.nas.recipes import Recipe, load_recipe


def recipe_of(epochs: int, batch: int = 8, dropout: float = 0.0) -> Recipe:
    """That of any series, for so many epochs of small batches."""
    plain = load_recipe("series")
    return replace(plain, epochs=epochs, batch=batch, dropout=dropout, learning_rate=1e-2)
