# SPDX-License-Identifier: Apache-2.0
"""NSGA-II (Deb et al. 2002) over the networks of a space, as Optuna has it.

    maximise the score, minimise the latency on the first device; feasible: within every budget

Decisions are categoricals. The first generation is spread over costs: of many random networks those
that lie evenly in the logarithm of what they use of the budget. A network outside of the budgets
costs no evaluation. Everything follows from the seed and from the estimates, so a run that goes on
proposes the same networks and finds their estimates known.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution

from tinytailor.nas.constraint import summed_excess
from tinytailor.nas.front.ground import Task
from tinytailor.nas.search.repair import repair
from tinytailor.nas.search.study import quiet_optuna
from tinytailor.nas.spaces import Architecture, Space, architecture

POPULATION = 32
DRAWN = 40  # random networks for each of the first generation
TRIES = 12  # proposals for each evaluation, at most
EXCESS = "excess"


def evolve(
    task: Task, evaluate: Callable[[Architecture], float], evaluations: int, seed: int
) -> None:
    """Until ``evaluations`` different networks within the budgets were evaluated."""
    seen: set[Architecture] = set()
    with quiet_optuna():
        sampler = optuna.samplers.NSGAIISampler(
            population_size=min(POPULATION, max(evaluations // 4, 4)),
            seed=seed,
        )
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        for arch in first_generation(task, min(POPULATION, evaluations), seed):
            study.enqueue_trial(_parameters(task.space, arch))
        for _ in range(TRIES * evaluations):
            if len(seen) >= evaluations:
                return
            trial = study.ask(_distributions(task.space))
            arch = _taken(task.space, trial.params)
            over = task.excess(arch)
            trial.set_constraint(EXCESS, over)
            score = evaluate(arch) if over == 0 else 0.0
            if over == 0:
                seen.add(arch)
            study.tell(trial, (score, task.cost(arch).latency_ms))


def first_generation(task: Task, count: int, seed: int) -> list[Architecture]:
    """Networks within the budgets whose latencies lie far apart."""
    rng = np.random.default_rng(seed)
    space = task.space
    drawn = [space.smallest(), space.largest()]
    drawn += [space.sample(rng) for _ in range(DRAWN * count)]
    priced = [(summed_excess(task.constraints, space.topology(arch)), arch) for arch in drawn]
    within = [arch for over, arch in priced if over == 0]
    if len(within) < count:
        near = sorted((over, place) for place, (over, _) in enumerate(priced) if over > 0)
        repaired = (repair(space, task.constraints, drawn[place]) for _, place in near[:count])
        within += [arch for arch in repaired if arch is not None]
    parts = task.constraints[0].parts
    latencies = [parts.estimate(space.topology(arch)).latency_ms for arch in within]
    return [within[place] for place in evenly(np.log(latencies), count)]


def evenly(values: np.ndarray, count: int) -> list[int]:
    """Places of ``count`` of ``values`` that are nearest to equal steps from least to largest."""
    if len(values) == 0:
        return []
    steps = np.linspace(values.min(), values.max(), count)
    return sorted({int(np.abs(values - step).argmin()) for step in steps})


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    return {d.name: CategoricalDistribution(range(len(d.options))) for d in space.decisions}


def _parameters(space: Space, arch: Architecture) -> dict[str, int]:
    choice = dict(arch.choices)
    return {d.name: d.options.index(choice[d.name]) for d in space.decisions}


def _taken(space: Space, params: dict[str, int]) -> Architecture:
    return architecture(space, {d.name: d.options[params[d.name]] for d in space.decisions})
