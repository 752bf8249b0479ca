# SPDX-License-Identifier: Apache-2.0
"""The state of a training after an epoch, whole or absent: from it the training goes on to the same
weights as one that was never stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tinytailor.targets.errors import InputError
from tinytailor.targets.files import write_atomically


def epochs_done(path: Path) -> int:
    """Of the training that is kept at ``path``; 0 where nothing is."""
    return len(torch.load(path, weights_only=True)["losses"]) if path.exists() else 0


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What of a training changes, the file it is kept in, and a ``mark`` of all that decides it."""

    path: Path
    mark: str
    network: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator

    def save(self, losses: list[float]) -> None:
        """``losses`` of the epochs so far."""
        state: dict[str, Any] = {
            "mark": self.mark,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "losses": losses,
        }
        write_atomically(self.path, lambda temporary: torch.save(state, temporary))

    def restore(self) -> list[float]:
        """The losses of the epochs that are done; InputError if the file is of another training."""
        if not self.path.exists():
            return []
        try:
            state = torch.load(self.path, weights_only=True)
            if state["mark"] != self.mark:
                raise ValueError(f"it was trained as {state['mark']}, not {self.mark}")
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.generator.set_state(state["generator"])
            return list(state["losses"])
        except (RuntimeError, KeyError, ValueError, OSError, EOFError) as error:
            raise InputError(
                f"cannot continue from checkpoint {self.path}: {error}; delete it"
            ) from None
