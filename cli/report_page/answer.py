# SPDX-License-Identifier: Apache-2.0
"""The answer: one sentence, the numbers that it rests on, and what was verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinytailor.cli.report_page.devices import SEARCH, Device, devices
from tinytailor.cli.report_page.drawing import draw, grouped, listed, percent, size
from tinytailor.targets import board_on

if TYPE_CHECKING:
    from markupsafe import Markup

    from tinytailor.compiler.sections import Quantity

PART_OF_RAM = "arena_bytes"  # a quantity, but inside of another
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Figure:
    """A number in large type; ``share`` of its limit, if it has one, and "ok" or "OVER"."""

    label: str
    value: str
    limit: str = ""
    note: str = ""
    share: float | None = None
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Figures of one target, or of all targets where ``title`` is empty."""

    title: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """What was compared; ``verdict``: "exact", "wrong", or "open" if it was not run."""

    text: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Answer:
    """``good``: every check was passed and every limit kept."""

    title: str
    sentence: str
    good: bool
    groups: tuple[Group, ...]
    verified: tuple[Check, ...]


def answer(report: Mapping[str, Any]) -> Answer:
    return _of_search(report) if report["kind"] == SEARCH else _of_project(report)


def draw_answer(data: Answer) -> Markup:
    return draw("answer.html", answer=data)


def _of_search(report: Mapping[str, Any]) -> Answer:
    targets = devices(report)
    checks = [(device, check) for device in targets for check in device.verification]
    wrong = [_where(device, check) for device, check in checks if not check["bit_exact"]]
    if len(targets) == 1:
        groups = [Group("", (_accuracy(report), *figures(targets[0])))]
    else:
        groups = [Group("", (_accuracy(report),))]
        groups += [Group(device.target, figures(device)) for device in targets]
    return Answer(
        f"{report['data']} on {listed([device.target for device in targets])}",
        _defect(wrong) if wrong else _found(report, targets),
        not wrong and not any(device.over for device in targets),
        tuple(groups),
        tuple(_checked(device, check, len(targets) > 1) for device, check in checks),
    )


def _of_project(manifest: Mapping[str, Any]) -> Answer:
    (device,) = devices(manifest)
    numbers, exact = figures(device), manifest["bit_exact"]
    return Answer(
        f"{manifest['name']} on {manifest['target']}",
        f"A network of {len(manifest['layers'])} layers and {grouped(manifest['macs'])} "
        f"multiply-accumulates takes {listed(list(map(_taken, numbers)))} on {manifest['target']}.",
        exact is not False,
        (Group("", numbers),),
        (_when_compiled(manifest),),
    )


def _taken(number: Figure) -> str:
    """In a sentence: 225.062 ms, 35.8 KiB of RAM."""
    memory = number.value.endswith("B")
    return f"{number.value} of {_short(number.label)}" if memory else number.value


def _short(title: str) -> str:
    """The title of a quantity without what it adds in parentheses."""
    return title.partition(" (")[0]


def _found(report: Mapping[str, Any], targets: Sequence[Device]) -> str:
    samples = _samples(report)
    right = round(report["accuracy"]["integer"] * samples)
    layers = len(targets[0].profile["layers"])
    over = [
        f"in {listed([_short(quantity.title) for quantity in device.over])} on {device.target}"
        for device in targets
        if device.over
    ]
    where = listed([device.target for device in targets])
    kept = f" and keeps its budget on {where}"
    if over:
        kept = f", but is over its budget {listed(over)}"
    return (
        f"An int8 network of {layers} layers classifies {grouped(right)} of {grouped(samples)} "
        f"test inputs right{kept}."
    )


def _defect(where: Sequence[str]) -> str:
    return f"The emitted C does not compute the integers of the trained network on {listed(where)}."


def _accuracy(report: Mapping[str, Any]) -> Figure:
    """Of the integers, on the test part, and how much its size leaves open."""
    accuracy, samples = report["accuracy"]["integer"], _samples(report)
    low, high = interval(round(accuracy * samples), samples)
    note = f"{percent(CONFIDENCE, 0)} interval {percent(low)} to {percent(high)}"
    if scores := report.get("scores"):
        note += (
            f"; balanced accuracy {percent(scores['balanced_accuracy'])}, "
            f"macro-F1 {percent(scores['macro_f1'])}"
        )
    return Figure(
        "accuracy, int8", percent(accuracy, 2), f"on {grouped(samples)} test inputs", note
    )


def interval(right: int, samples: int) -> tuple[float, float]:
    """Wilson's interval for a share of which ``right`` of ``samples`` were seen."""
    from scipy.stats import binomtest

    found = binomtest(right, samples).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def figures(device: Device) -> tuple[Figure, ...]:
    """What is known; where time is not, the instructions are."""
    profile = device.profile
    known = [q for q in device.quantities if q.key != PART_OF_RAM and profile[q.key] is not None]
    found = tuple(_figure(device, quantity) for quantity in known)
    if profile["latency_ms"] is None:
        found = (Figure("instructions, no cycle model", grouped(profile["instructions"])), *found)
    return found


def _figure(device: Device, quantity: Quantity) -> Figure:
    value, most = device.profile[quantity.key], device.budget.get(quantity.key)

    def text(number: float) -> str:
        return size(number) if quantity.key.endswith("_bytes") else quantity.form.format(number)

    note = _note(device, quantity.key)
    if most is None:
        return Figure(quantity.title, text(value), note=note)
    verdict = "ok" if value <= most else "OVER"
    return Figure(quantity.title, text(value), f"of {text(most)}", note, value / most, verdict)


def _note(device: Device, key: str) -> str:
    if key == "energy_uj":
        return str(device.profile.get("energy", {}).get("text", ""))
    return trust(device) if key == "latency_ms" else ""


def trust(device: Device) -> str:
    """How far a modelled time can be trusted."""
    provenance = device.profile["provenance"]
    if isinstance(provenance, str):
        return f"{provenance}: {device.profile['provenance_source']}"
    return str(provenance["board_trust"])


def _samples(report: Mapping[str, Any]) -> int:
    return int(devices(report)[0].verification[0]["samples"])


def _where(device: Device, check: Mapping[str, Any]) -> str:
    return "the host" if check["on"] == "host" else f"the {board_on(device.target, check['on'])}"


def _checked(device: Device, check: Mapping[str, Any], several: bool) -> Check:
    emitted = f"emitted C for {device.target}" if several else "emitted C"
    start = f"{emitted} on {_where(device, check)}"
    inputs = f"{grouped(check['samples'])} test inputs"
    if check["bit_exact"]:
        return Check(f"{start}: bit-exact with the integer model, {inputs}", "exact")
    differing, elements = grouped(check["differing_elements"]), grouped(check["elements"])
    return Check(
        f"{start}: NOT bit-exact, {differing} of {elements} output elements differ, {inputs}",
        "wrong",
    )


def _when_compiled(manifest: Mapping[str, Any]) -> Check:
    """What compiling did: a project that is not exact is not handed out."""
    if manifest["bit_exact"] is None:
        return Check("not run when it was written: tinytailor verify does that", "open")
    where = board_on(manifest["target"], manifest["provenance"]["runner"])
    if manifest["bit_exact"]:
        return Check(f"emitted C on the {where}: bit-exact with the model, random inputs", "exact")
    return Check(f"emitted C on the {where}: NOT bit-exact with the model", "wrong")
