# SPDX-License-Identifier: Apache-2.0
"""Effort in counts, evolution and local search under planted scores, the front, and use."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tinytailor.latency_tables import Budget
from tinytailor.nas.constraint import Constraint
from tinytailor.nas.cost import fit_parts
from tinytailor.nas.front.climb import climb
from tinytailor.nas.front.effort import LEAST_EVALUATIONS, SHARE, Effort, Pace, within
from tinytailor.nas.front.evaluate import Estimate, Evaluator, whole_lines
from tinytailor.nas.front.evolve import evenly, evolve, first_generation
from tinytailor.nas.front.ground import Ground, Task
from tinytailor.nas.front.search import front, trial_of, with_chosen
from tinytailor.nas.front.select import Finalist, best_within, candidates
from tinytailor.nas.front.use import reason, use_of
from tinytailor.nas.quantization import QUANTIZERS
from tinytailor.nas.spaces import SPACES, Architecture, Space
from tinytailor.nas.testing.costs import FormulaCosts
from tinytailor.nas.testing.recipes import recipe_of
from tinytailor.nas.training.samples import standard_samples
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.torch]

PACE = Pace(supernet_epoch=2.0, estimate=0.5, epoch=1.0)


def space() -> Space:
    return SPACES["series"].tiny()


def task(share: float = 1.0) -> Task:
    """With ``share`` of the latency of the largest network as its budget."""
    parts = fit_parts(space(), FormulaCosts(), seed=0)
    most = parts.costs.network(space().topology(space().largest())).latency_ms
    return Task(space(), (Constraint(parts, Budget(latency_ms=share * most)),))


def planted(arch: Architecture) -> float:
    """Higher for every decision that takes its last option."""
    choice = dict(arch.choices)
    return sum(choice[d.name] == d.options[-1] for d in space().decisions) / len(choice)


def estimated(arch: Architecture) -> Estimate:
    return Estimate(planted(arch), 1 - planted(arch), (planted(arch),))


def ground(folder: Path) -> Ground:
    """Of two samples, of which nothing is trained."""
    return Ground(
        task=task(),
        fits=space().smallest(),
        samples=standard_samples(torch.zeros((2, 32, 1, 3)), torch.arange(2)),
        rows=lambda count: (),
        recipe=recipe_of(1),
        quantizer=QUANTIZERS["int8"],
        metric="accuracy",
        seed=0,
        folder=folder,
    )


@pytest.mark.parametrize("time_s", [60, 200, 600, 5_000])
def test_a_time_becomes_counts_that_take_about_as_long(time_s: float) -> None:
    found = within(time_s, Effort(), PACE)
    assert PACE.seconds(found) <= SHARE * time_s
    assert found.evaluations >= LEAST_EVALUATIONS
    more = within(2 * time_s, Effort(), PACE)
    assert PACE.seconds(more) >= PACE.seconds(found)
    assert (more.finalists, more.folds) >= (found.finalists, found.folds)
    assert within(time_s, Effort(), PACE) == found


def test_a_long_time_is_used_for_more_and_a_short_one_refused() -> None:
    assert within(5_000, Effort(), PACE).supernet_epochs > Effort().supernet_epochs
    with pytest.raises(InputError, match=r"--time 3s is too short: .* give at least \d+s"):
        within(3, Effort(), PACE)


def test_evolution_stays_within_the_budget_and_nears_the_planted_optimum() -> None:
    here, seen = task(0.7), list[Architecture]()

    def evaluate(arch: Architecture) -> float:
        seen.append(arch)
        return planted(arch)

    evolve(here, evaluate, 60, seed=0)
    assert len(set(seen)) == 60
    assert all(here.excess(arch) == 0 for arch in seen)
    assert max(map(planted, seen[30:])) > max(map(planted, seen[:10]))
    first = list(seen)
    evolve(here, evaluate, 60, seed=0)
    assert seen[len(first) :] == first, "the same seed proposes the same networks"


def test_the_first_generation_is_spread_over_costs() -> None:
    here = task(0.7)
    costs = map(here.cost, first_generation(here, 12, seed=0))
    latencies = sorted(cost.latency_ms for cost in costs)
    assert len(latencies) >= 8
    assert latencies[0] < 0.6 * latencies[-1]
    assert evenly(np.array([0.0, 0.1, 5.0, 10.0]), 3) == [0, 2, 3]
    assert evenly(np.array([]), 3) == []


def test_local_search_ends_at_the_best_network_that_fits() -> None:
    here = task(1.0)
    start = space().smallest()
    known = {start: estimated(start)}

    def evaluate(arch: Architecture) -> Estimate:
        known[arch] = estimated(arch)
        return known[arch]

    climb(here, known, evaluate, 200, seed=0)
    best = max(known, key=lambda arch: known[arch].rank)
    assert planted(best) == 1.0
    assert here.fits(best)


def test_the_front_holds_what_nothing_beats_and_the_chosen_network() -> None:
    here = task()
    rng = np.random.default_rng(0)
    known = {arch: estimated(arch) for arch in (here.space.sample(rng) for _ in range(40))}
    points = front(here, known)
    keys = ("latency_ms", "ram_bytes", "flash_bytes")
    rows = [(*(one[key] for key in keys), -one["score"]) for one in points]
    assert rows == sorted(rows)
    for row in rows:
        beaten = [all(a <= b for a, b in zip(other, row, strict=True)) for other in rows]
        assert sum(beaten) == 1, "nothing beats it but itself"
    assert max(one["score"] for one in points) == max(map(planted, known))
    marked = with_chosen(points, points[0])
    assert [one["chosen"] for one in marked] == [True, *[False] * (len(points) - 1)]
    behind = {**points[-1], "architecture": {"other": 1}, "score": 0.0}
    assert len(with_chosen(points, behind)) == len(points) + 1


def test_the_best_few_fit_and_differ() -> None:
    here = task(0.6)
    rng = np.random.default_rng(0)
    known = {arch: estimated(arch) for arch in (here.space.sample(rng) for _ in range(60))}
    best = best_within(here, known)
    scores = [planted(arch) for arch in best]
    assert scores == sorted(scores, reverse=True)
    assert len({here.space.topology(arch) for arch in best}) == len(best) > 5
    assert all(map(here.fits, best))
    few = candidates(here, known, 3)
    assert few[:2] == best[:2]
    assert any(use_of(here, arch).share >= 0.9 for arch in few)


def test_a_small_share_of_the_budget_has_a_reason() -> None:
    here = task(1.0)
    small, large = here.space.smallest(), here.space.largest()
    assert use_of(here, large).share == pytest.approx(1.0)
    used = use_of(here, small)
    assert 0 < used.share < 0.9
    assert (used.limit, used.device) == ("latency", "formula")
    good, bad = Estimate(0.95, 0.1, (0.95,)), Estimate(0.94, 0.2, (0.94,))
    trained = [(small, good), (large, bad)]
    text = reason(here, (small, good), trained)
    assert "uses more (100 %) scored 94.00 % on held-out data, this one 95.00 %" in text
    assert reason(here, (large, good), trained) == ""
    assert "no larger network" in reason(here, (small, good), [(small, good)])


def test_estimates_are_kept_and_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    path, here = tmp_path / "candidates.jsonl", space()
    arch = here.smallest()
    record = {"architecture": arch.to_json(), "score": 0.5, "loss": 1.0, "folds": [0.4, 0.6]}
    path.write_text(json.dumps(record) + "\n" + json.dumps(record)[:40])
    told: list[int] = []
    evaluate = Evaluator(ground(tmp_path), (), path, lambda count, estimate: told.append(count))
    assert evaluate.known == {}, "what this run asked for, in its order"
    assert evaluate(arch) == evaluate(arch) == Estimate(0.5, 1.0, (0.4, 0.6))
    assert told == [1]
    assert list(evaluate.known) == [arch]
    assert whole_lines(path) == [record]


def test_effort_knows_its_seconds() -> None:
    effort = Effort(folds=2, supernet_epochs=10, evaluations=20, finalists=1, epochs=4)
    assert PACE.seconds(effort) == 2 * 10 * 2.0 + 20 * 0.5 + 2 * 0.5 * 4.0 + 4.0
    assert PACE.seconds(replace(effort, finalists=2)) == PACE.seconds(effort) + 4.0


def test_a_deciding_metric_is_not_called_the_accuracy(tmp_path: Path) -> None:
    """Six of one class and two of another, all answered as the first."""
    judge = replace(ground(tmp_path), metric="balanced-accuracy").judge
    y = torch.tensor([0] * 6 + [1] * 2)
    judged = judge(torch.tensor([[1.0, 0.0]] * 8), y)
    assert judged.score == 0.5
    assert judged.values["accuracy"] == 0.75
    estimate = Estimate.over([judged, judged])
    told = trial_of(Finalist(space().smallest(), estimate, estimate, judged.values), 0)
    assert told["valid_accuracy"] == 0.75
    assert told["valid_scores"]["balanced_accuracy"] == 0.5


def test_shared_networks_are_marked_by_all_that_decides_them(tmp_path: Path) -> None:
    here = ground(tmp_path)
    x, y = here.samples.x, here.samples.y
    same = replace(here, metric="macro-f1", folder=tmp_path / "other")
    assert same.mark == here.mark, "neither the judge nor the place"
    for change in (
        {"samples": standard_samples(x + 1, y)},
        {"samples": standard_samples(x, y.flip(0))},
        {"recipe": recipe_of(1, dropout=0.5)},
        {"weights": torch.ones(2)},
        {"seed": 1},
    ):
        assert replace(here, **change).mark != here.mark
    assert replace(here, recipe=recipe_of(9)).mark == here.mark, "epochs are counted apart"
