# SPDX-License-Identifier: Apache-2.0
"""A copy of a board's TOML file with other latency constants; all else stays as it is written."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import tinytailor.targets
from tinytailor.targets import Board, LatencyModel
from tinytailor.targets.board import load_board
from tinytailor.targets.errors import InputError
from tinytailor.targets.files import write_atomically
from tinytailor.targets.latency_model import CONSTANTS

_LATENCY = re.compile(r"\s*\[\s*latency\s*[\].]")
_SECTION = re.compile(r"\s*\[[^\[\],]+\]\s*(#.*)?$")


def latency_section(model: LatencyModel) -> str:
    """The [latency] section; constants that are 0 are left out, as in the shipped files."""
    lines = ["[latency]", *_constants(model)]
    if model.fetch_cache_bytes is not None:
        lines.append(f"fetch_cache_bytes = {model.fetch_cache_bytes}")
    if model.fetch_byte:
        lines.append(f"fetch_byte = {model.fetch_byte!r}")
    if model.error_percent is not None:
        lines.append(f"error_percent = {model.error_percent!r}")
    lines.append(f"calibrated = {'true' if model.calibrated else 'false'}")
    lines += _texts(model, "caveat", "fetch_source", "source")
    other = model.alternative
    if other is not None:
        lines += ["", "[latency.alternative]", *_constants(other), *_texts(other, "source")]
    return "\n".join(lines) + "\n"


def _constants(model: LatencyModel) -> list[str]:
    values = {name: getattr(model, name) for name in CONSTANTS}
    lines = [f"{name} = {v!r}" for name, v in values.items() if v or name == "core"]
    if model.cache_bytes is not None:
        lines.append(f"cache_bytes = {list(model.cache_bytes)}")
    return lines


def _texts(model: LatencyModel, *names: str) -> list[str]:
    texts = {name: getattr(model, name) for name in names}
    return [
        f"{name} = {json.dumps(text, ensure_ascii=False)}"
        for name, text in texts.items()
        if text is not None
    ]


def write_board(board: Board, model: LatencyModel, path: Path) -> None:
    """Write ``board`` with ``model`` to ``path``; the file appears whole and only if it loads.

    InputError for a file that ships with the tool, and for one whose constants are written in a
    form that is not a [latency] section.
    """
    shipped = Path(tinytailor.targets.__file__).parent.resolve()
    if path.resolve().is_relative_to(shipped):
        raise InputError(f"{path} ships with the tool and is left as it is; name another --out")
    text = _with_section(board.definition, latency_section(model))
    require_folder(path)

    def write(file: Path) -> None:
        file.write_text(text, "utf-8")
        _check(file, board, model)

    write_atomically(path, write)


def _check(path: Path, board: Board, model: LatencyModel) -> None:
    try:
        same = load_board(path) == dataclasses.replace(board, latency_model=model)
    except InputError:
        same = False
    if not same:
        raise InputError(
            f"the file of {board.name} has no plain [latency] section that could be replaced; "
            f"write this one into it:\n{latency_section(model)}"
        )


def require_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a folder; make it first")


def _with_section(text: str, section: str) -> str:
    kept: list[str] = []
    inside, place = False, None
    for line in text.splitlines():
        if _LATENCY.match(line):
            inside = True
            place = len(kept) if place is None else place
        elif _SECTION.match(line):
            inside = False
        if not inside:
            kept.append(line)
    place = len(kept) if place is None else place
    before, after = "\n".join(kept[:place]).rstrip(), "\n".join(kept[place:]).strip()
    return "\n\n".join(part for part in (before, section.rstrip(), after) if part) + "\n"
