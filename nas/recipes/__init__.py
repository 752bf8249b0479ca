# SPDX-License-Identifier: Apache-2.0
"""How networks are trained on one kind of input: a TOML file each, chosen by the data.

    [training]      epochs, steps, batch, learning_rate, weight_decay, warmup, smoothing, dropout
    [[augment]]     name and settings of an augmentation, in the order in which they act

``--recipe NAME`` or ``--recipe FILE.toml`` takes another. Adding one is a file in this folder, for
the kind of signal that it is named after.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from tinytailor.nas.training.augmentations import AUGMENTATIONS, Augmentation
from tinytailor.targets.errors import InputError
from tinytailor.targets.names import no_such
from tinytailor.targets.toml_table import TomlTable, read_toml

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Recipe:
    """AdamW with one cycle of the rate: linear warm-up over ``warmup`` of the steps, cosine to 0.

    ``epochs`` are more where so many make less than ``steps`` batches. ``weight_decay`` acts on
    weights of more than one axis alone, ``dropout`` before the classes. ``quantized_epochs``: of
    training through the integers, at a tenth of the rate; 0 for none.
    """

    name: str
    epochs: int
    steps: int
    quantized_epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    warmup: float
    smoothing: float
    dropout: float
    augment: tuple[Augmentation, ...]

    def fitted(self, samples: int, epochs: int | None = None, batch: int | None = None) -> Recipe:
        """For so many samples: smaller batches of few, and enough of them; ``epochs`` and ``batch``
        as they are where they are given."""
        size = batch or min(self.batch, max(samples // 8, 8))
        enough = -(-self.steps // -(-samples // size))
        return replace(self, batch=size, epochs=epochs or max(self.epochs, enough))

    def to_json(self) -> dict[str, Any]:
        """As its file has it."""
        names = {kind: name for name, kind in AUGMENTATIONS.items()}
        augment = [{"name": names[type(one)], **asdict(one)} for one in self.augment]
        return {**asdict(self), "augment": augment}

    def quantized(self, epochs: int | None = None) -> Recipe:
        """For the training through the integers that follows."""
        count = self.quantized_epochs if epochs is None else epochs
        rate = self.learning_rate / 10
        return replace(self, epochs=count, learning_rate=rate, weight_decay=0.0, dropout=0.0)


def recipe_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load_recipe(name: str) -> Recipe:
    """A recipe by its name or its file; InputError says what is wrong in it."""
    own = name.endswith(".toml")
    path = Path(name) if own else FOLDER / f"{name}.toml"
    if not own and name not in recipe_names():
        raise no_such(f"no recipe is called {name!r}", name, recipe_names())
    values = read_toml(path)
    listed = values.pop("augment", [])
    table = TomlTable(path, values)
    training = table.table("training")
    recipe = Recipe(
        name=path.stem,
        epochs=training.integer("epochs", 1),
        steps=training.integer("steps", 1),
        quantized_epochs=training.integer("quantized_epochs", 0),
        batch=training.integer("batch", 2),
        learning_rate=training.number("learning_rate", 0),
        weight_decay=training.number("weight_decay", 0),
        warmup=training.number("warmup", 0),
        smoothing=training.number("smoothing", 0),
        dropout=training.number("dropout", 0),
        augment=tuple(_augmentation(path, one) for one in listed),
    )
    training.finish()
    table.finish()
    return recipe


def _augmentation(path: Path, values: object) -> Augmentation:
    if not isinstance(values, dict):
        raise InputError(f"{path}: augment is {values!r}; expected tables [[augment]].")
    table = TomlTable(path, values, "augment.")
    name = table.choice("name", tuple(AUGMENTATIONS))
    kind = AUGMENTATIONS[name]
    settings: dict[str, Any] = {}
    for one in fields(kind):
        default: Any = one.default
        whole = one.type == "int"
        read = table.integer if whole else table.number
        settings[one.name] = read(one.name, 0, default)
    table.finish()
    return kind(**settings)
