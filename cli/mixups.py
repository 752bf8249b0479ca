# SPDX-License-Identifier: Apache-2.0
"""Words that stand where another kind of word belongs: a model behind --target, a size as a time.

    tinytailor compile --target kws.tflite nucleo-f446re
    error: kws.tflite is a model and nucleo-f446re is a target, each in the other's place; write:
    tinytailor compile kws.tflite --target nucleo-f446re --out OUT

What a word is, shows in its ending, its unit, or what lies in the folder; of a word that shows
nothing of the kind the command itself judges.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytailor.targets import RUNNERS, target_names
from tinytailor.targets.errors import InputError

# What a parameter of any command takes, by its name.
WANTS: Mapping[str, frozenset[str]] = {
    "model": frozenset({"model"}),
    "target": frozenset({"target"}),
    "project": frozenset({"project"}),
    "folder": frozenset({"project", "run"}),
    "inputs": frozenset({"arrays"}),
    "calibration": frozenset({"arrays"}),
    "data": frozenset({"data"}),
    "file": frozenset({"table"}),
    "first": frozenset({"table"}),
    "second": frozenset({"table"}),
    "table": frozenset({"table"}),
    "on": frozenset({"runner"}),
    "latency": frozenset({"time"}),
    "ram": frozenset({"size"}),
    "flash": frozenset({"size"}),
}
IN_WORDS = {
    "model": "a model",
    "target": "a target",
    "project": "a compiled project",
    "run": "the folder of a search",
    "arrays": "a file of arrays",
    "data": "a data set",
    "table": "a latency table",
    "runner": "a runner",
    "port": "a serial port",
    "time": "a time",
    "size": "a size",
}
EXAMPLES = {
    "model": ".onnx or .tflite",
    "arrays": ".npz",
    "data": "ucr:NAME, npz:FILE",
    "table": ".jsonl",
    "runner": "emulator, qemu, serial:PORT",
    "time": "10ms, 500us, 1.5s",
    "size": "64KiB, 48kB, 65536",
}
# What to do with a word of this kind where the command has no place for it.
INSTEAD = {
    "model": "compile it first: tinytailor compile {word} --target TARGET -o DIR",
    "project": "tinytailor verify {word} and tinytailor profile {word} run it",
    "run": "its project is {word}/project, its model {word}/model.onnx",
    "target": "tinytailor targets {word} shows it",
    "table": "tinytailor table show {word} shows it",
    "port": "write serial:{word}",
}
SUFFIXES = {
    ".onnx": "model",
    ".tflite": "model",
    ".npz": "arrays",
    ".toml": "target",
    ".jsonl": "table",
}
OTHER_RUNNERS = ("host", "csim")  # of projects
QUANTITY = re.compile(r"[0-9]*\.?[0-9]+\s*(us|µs|ms|s|k?i?b|m?i?b)", re.IGNORECASE)
DATA = re.compile("(ucr|uea|npz|folder|fsdd|speech-commands|ts-small|cifar10):")
PORT = re.compile(r"/dev/.+|COM[0-9]+")


@dataclass(frozen=True, slots=True)
class Place:
    """A parameter of a command that takes words of some kinds; ``said``: how it is written."""

    name: str
    said: str
    wants: frozenset[str]


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A word, what it is, and where it stands; None: behind all arguments."""

    word: str
    kind: str
    at: Place | None


def check(context: Any, words: Sequence[str]) -> None:
    """InputError where a word of the command line stands in the place of another kind."""
    command = context.command
    given, more, _ = command.make_parser(context).parse_args(args=list(words))
    places = [_place(parameter) for parameter in command.params if parameter.name in WANTS]
    wrong = [
        Misplaced(word, kind, place)
        for place in places
        if isinstance(word := given.get(place.name), str)
        and (kind := kind_of(word)) is not None
        and kind not in place.wants
    ]
    vacated = [one.at for one in wrong]
    free = [place for place in places if place in vacated or given.get(place.name) is None]
    surplus = [Misplaced(word, kind, None) for word in more if (kind := kind_of(word))]
    wrong += [one for one in surplus if any(one.kind in place.wants for place in free)]
    if wrong:
        raise InputError(_sentence(context, given, places, wrong))


def kind_of(word: str) -> str | None:
    """A key of ``IN_WORDS``, or None if the word may be anything."""
    path = Path(word)
    if path.is_dir():
        if (path / "manifest.json").is_file():
            return "project"
        ran = any((path / name).is_file() for name in ("report.json", "settings.json"))
        return "run" if ran else None
    if DATA.match(word):
        return "data"
    if path.suffix.lower() in SUFFIXES:
        return SUFFIXES[path.suffix.lower()]
    if path.exists():
        return "port" if PORT.fullmatch(word) else None
    if word in target_names():
        return "target"
    if word in (*RUNNERS, *OTHER_RUNNERS) or word.startswith("serial:"):
        return "runner"
    if PORT.fullmatch(word):
        return "port"
    unit = QUANTITY.fullmatch(word)
    if unit is None:
        return None
    return "time" if unit[1].lower().endswith("s") else "size"


def _place(parameter: Any) -> Place:
    option = parameter.param_type_name == "option"
    said = parameter.opts[0] if option else parameter.name.upper()
    return Place(parameter.name, said, WANTS[parameter.name])


def _sentence(
    context: Any, given: Mapping[str, Any], places: Sequence[Place], wrong: Sequence[Misplaced]
) -> str:
    vacated = [one.at for one in wrong]
    empty = [place for place in places if given.get(place.name) is None]
    homes = []
    for one in wrong:
        swapped = [place for place in places if place in vacated and one.kind in place.wants]
        homes.append(swapped or [place for place in empty if one.kind in place.wants])
    names = [options[0].name for options in homes if len(options) == 1]
    if len(set(names)) == len(wrong):
        words = {**given, **{place.name: None for place in vacated if place is not None}}
        words |= {name: one.word for name, one in zip(names, wrong, strict=True)}
        return f"{_what_is_wrong(wrong)}; write: {_written(context, words)}"
    one = next(one for one, options in zip(wrong, homes, strict=True) if len(options) != 1)
    return f"{_what_is_wrong([one])}{_advice(one, places)}"


def _what_is_wrong(wrong: Sequence[Misplaced]) -> str:
    said = [f"{one.word} is {IN_WORDS[one.kind]}" for one in wrong]
    if len(wrong) > 1:
        return f"{' and '.join(said)}, each in another's place"
    place = wrong[0].at
    return said[0] if place is None else f"{said[0]}, and {place.said} takes {_taken(place)}"


def _taken(place: Place) -> str:
    """What goes there, with examples."""
    examples = {kind: f" ({EXAMPLES[kind]})" if kind in EXAMPLES else "" for kind in place.wants}
    return " or ".join(f"{IN_WORDS[kind]}{examples[kind]}" for kind in sorted(place.wants))


def _advice(one: Misplaced, places: Sequence[Place]) -> str:
    if one.kind == "arrays" and one.at is not None and one.at.wants == {"data"}:
        return f"; write: {one.at.said} npz:{one.word}"
    fitting = [place.said for place in places if one.kind in place.wants]
    if fitting:
        return f"; {IN_WORDS[one.kind]} belongs to {' or '.join(fitting)}"
    advice = INSTEAD.get(one.kind, "").format(word=shlex.quote(one.word))
    return f"; {advice}" if advice else ""


def _written(context: Any, words: Mapping[str, Any]) -> str:
    """The command line with every word in its place; capitals stand for what is missing."""
    arguments, options = [], []
    for parameter in context.command.params:
        value = words.get(parameter.name)
        missing = value is None or value is False or not isinstance(value, str | bool)
        if missing and not parameter.required:
            continue
        word = parameter.name.upper() if missing else shlex.quote(str(value))
        if parameter.param_type_name == "argument":
            arguments.append(word)
        else:
            options += [parameter.opts[0], *([] if value is True else [word])]
    return " ".join([path_of(context), *arguments, *options])


def path_of(context: Any) -> str:
    """The command with those that it belongs to: tinytailor table show."""
    names = []
    while context.parent is not None:
        names.append(context.info_name)
        context = context.parent
    return " ".join(["tinytailor", *reversed(names)])
