# SPDX-License-Identifier: Apache-2.0
"""Files of plain arrays by their names (.npz)."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.targets.errors import InputError
from tinytailor.targets.files import write_atomically


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file; InputError if it cannot be read or holds Python objects."""
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise InputError(f"{path} is one .npy array; save it as .npz: np.savez(file, x=array)")
        with archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path} is not an .npz file of plain arrays: {error}") from None


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """The whole file, or none."""
    write_atomically(path, lambda temporary: np.savez(temporary, **arrays))
