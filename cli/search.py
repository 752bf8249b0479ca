# SPDX-License-Identifier: Apache-2.0
"""tinytailor search: the most accurate network within a budget, found, compiled and checked.

rows the tables lack are measured -> search, train, quantize (nas.run) -> RUN/model.onnx
-> for each target: compile into a project, verify and profile on the test part
-> RUN/report.json, report.md, report.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinytailor.cli import completion
from tinytailor.cli.compile import compile_file
from tinytailor.cli.energy import BatteryText, Idle, Period, Supply, used
from tinytailor.cli.measure import load_board, measure_keys, space_keys
from tinytailor.cli.options import DataName, Json, Seed, SpaceName, Workers, target_option
from tinytailor.cli.output import Result, command, note, rounded
from tinytailor.cli.report import MARKDOWN, PAGE, REPORT, SEARCH, SETTINGS, draw, markdown, sections
from tinytailor.cli.search_order import SearchOrder, understood
from tinytailor.cli.verify import verify_project
from tinytailor.cli.watch import TERMINAL, Watch
from tinytailor.targets import Usage, default_runner, load_target
from tinytailor.targets.errors import BudgetError, CheckError, Interrupted, TinytailorError
from tinytailor.targets.files import only_writer, read_json, write_json, write_text

if TYPE_CHECKING:
    from tinytailor.nas.run import SearchResult
    from tinytailor.nas.settings import SearchSettings
    from tinytailor.targets import Board

PROJECT, TEST, SWEEP = "project", "test.npz", "sweep"

TargetNames = Annotated[
    str,
    target_option(
        "A name that `tinytailor targets` lists, or a .toml file; or several, with commas: one "
        "network that keeps the budget on each."
    ),
]
Latency = Annotated[str | None, typer.Option(help="Most time of an inference, as 10ms.")]
Ram = Annotated[str | None, typer.Option(help="Most RAM, as 64KiB; else the board's.")]
Flash = Annotated[str | None, typer.Option(help="Most flash, as 256KiB; else the board's.")]
Energy = Annotated[str | None, typer.Option(help="Most energy of an inference, as 500uJ.")]
TableFiles = Annotated[
    str | None,
    typer.Option(
        "--table",
        help="Latency table, by default tables/CORE-SPACE.jsonl; what it lacks is measured. Of "
        "several targets one for all, or one for each, with commas.",
    ),
]
Metric = Annotated[
    str,
    typer.Option(
        help="What decides between networks, on held-out training data: accuracy, "
        "balanced-accuracy or macro-f1."
    ),
]
ClassWeights = Annotated[
    str,
    typer.Option(help="Of the loss, for unbalanced classes: none, balanced or effective."),
]
Algorithm = Annotated[
    str,
    typer.Option(help="How: a wrong name lists all.", autocompletion=completion.algorithms),
]
BudgetSweep = Annotated[
    str | None,
    typer.Option(
        help="Further latencies, as 2ms,8ms,50ms: a run each in RUN/sweep, from the same shared "
        "networks."
    ),
]
Time = Annotated[str | None, typer.Option(help="Of a whole run, as 20m: how much is tried.")]
RecipeName = Annotated[
    str | None,
    typer.Option(
        help="How networks are trained: a name or a .toml file; by default that of the data.",
        autocompletion=completion.recipes,
    ),
]
SupernetFolder = Annotated[
    Path | None, typer.Option(help="RUN folder of a search whose shared networks are used.")
]
SupernetEpochs = Annotated[int | None, typer.Option(help="Epochs of the shared networks.")]
Evaluations = Annotated[int | None, typer.Option(help="Networks to estimate under shared weights.")]
Finalists = Annotated[int | None, typer.Option(help="Of them, networks to train on their own.")]
Trials = Annotated[
    int | None, typer.Option(help="Networks that dnas and random propose and compare.")
]
SearchEpochs = Annotated[int | None, typer.Option(help="Epochs of each search of dnas.")]
TrialEpochs = Annotated[int | None, typer.Option(help="Epochs to judge a proposal.")]
Epochs = Annotated[int | None, typer.Option(help="Epochs of the final training.")]
QuantizedEpochs = Annotated[int | None, typer.Option(help="Epochs in int8 after it.")]
AllowEstimates = Annotated[
    bool,
    typer.Option(
        "--allow-estimates", help="Estimate operators that the table lacks; reports say so."
    ),
]


@command
def run(
    data: DataName,
    target: TargetNames,
    out: Annotated[Path, typer.Option("--out", "-o", help="RUN folder; an old one is continued.")],
    latency: Latency = None,
    budget_sweep: BudgetSweep = None,
    ram: Ram = None,
    flash: Flash = None,
    energy: Energy = None,
    supply: Supply = None,
    period: Period = None,
    battery: BatteryText = None,
    idle: Idle = None,
    time: Time = None,
    space: SpaceName = SearchOrder.space,
    recipe: RecipeName = None,
    supernet: SupernetFolder = None,
    algorithm: Algorithm = SearchOrder.algorithm,
    metric: Metric = SearchOrder.metric,
    class_weights: ClassWeights = SearchOrder.class_weights,
    table: TableFiles = None,
    allow_estimates: AllowEstimates = False,
    name: Annotated[str, typer.Option(help="Prefix of the C functions.")] = SearchOrder.name,
    supernet_epochs: SupernetEpochs = None,
    evaluations: Evaluations = None,
    finalists: Finalists = None,
    trials: Trials = None,
    search_epochs: SearchEpochs = None,
    trial_epochs: TrialEpochs = None,
    epochs: Epochs = None,
    quantized_epochs: QuantizedEpochs = None,
    workers: Workers = SearchOrder.workers,
    seed: Seed = SearchOrder.seed,
    as_json: Json = False,
) -> Result:
    """Find, train, quantize and compile the most accurate network within a budget.

    Interrupt it at any time: the same command goes on where it stopped.
    """
    order = SearchOrder.of(locals())
    report = search_report(order)
    return Result(report, lambda console: draw(console, sections(report)), exit_code(report))


def search_report(order: SearchOrder, watch: Watch = TERMINAL) -> dict[str, Any]:
    """The report of a search that is run, continued, or done already; also written into its
    folder, beside its projects."""
    further = [] if order.budget_sweep is None else order.budget_sweep.split(",")
    orders = [swept(order, latency.strip()) for latency in further]
    for one in orders:
        understood(one)  # a wrong word is told before anything slow
    report = one_search(order, watch)
    if orders:
        points = [point(one.out, one_search(one, watch)) for one in orders]
        report["sweep"] = [point(order.out, report), *points]
        write_report(order.out, report)
    return report


def swept(order: SearchOrder, latency: str) -> SearchOrder:
    """The same search for another latency, with the shared networks of the first."""
    out = order.out / SWEEP / latency
    supernet = order.supernet or order.out
    mine = replace(order, latency=latency, out=out, supernet=supernet)
    return replace(mine, budget_sweep=None, supernet_epochs=None)


def point(out: Path, report: dict[str, Any]) -> dict[str, Any]:
    """A run of a sweep in short."""
    first = report["targets"][0]
    profile = {key: first["profile"][key] for key in ("latency_ms", "ram_bytes", "flash_bytes")}
    return {
        "run": str(out),
        "budget": first["budget"],
        "accuracy": report["accuracy"],
        "target": first["name"],
        **profile,
    }


def one_search(order: SearchOrder, watch: Watch) -> dict[str, Any]:
    """The report of one budget."""
    from tinytailor.nas.prepare import require_same_data
    from tinytailor.nas.settings import check_run

    what = understood(order)
    settings, made = what.settings, made_by(order.name, what.settings, what.usages)
    if check_run(order.out, settings) and (report := finished(order.out, made)) is not None:
        require_same_data(settings, order.out)
        watch.note(f"{order.out} holds this search, done; its report again:")
        return report
    # Measuring comes first: a search needs every price, and both can be interrupted freely.
    if not order.allow_estimates:
        measure_tables(settings, what.boards, order.workers, watch)
    with only_writer(order.out), kept_told(settings):
        found = search_watched(settings, watch)
        return finish(settings, found, order.name, what.usages, watch)


def measure_tables(
    settings: SearchSettings, boards: Sequence[Board], workers: int, watch: Watch
) -> None:
    """Complete each board's table; boards of one core that share one need it once."""
    pairs = zip(settings.tables, boards, strict=True)
    for (path, _), board in {(path, one.core.name): one for path, one in pairs}.items():
        keys = space_keys(settings.space, settings.data, board)
        measure_keys(keys, board, Path(path), workers=workers, watch=watch)


def made_by(name: str, settings: SearchSettings, usages: Sequence[Usage]) -> dict[str, Any]:
    """What decides the report of a search that is done: this tool, how it was called, and the
    files of its targets."""
    from tinytailor.compiler.project import tool_version
    from tinytailor.latency_tables.table.origin import compiler_digest

    how = {"name": name, "usages": [asdict(one) for one in usages]}
    texts = (load_target(target).definition for target in settings.targets)
    targets = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]
    return {"version": tool_version(), "compiler": compiler_digest(), "targets": targets, **how}


def finished(folder: Path, made: dict[str, Any]) -> dict[str, Any] | None:
    """The report of a search that is done, if it would be the same now and its projects are
    there."""
    from tinytailor.compiler.project import MANIFEST

    path = folder / REPORT
    if not path.exists():
        return None
    report = read_json(path)
    projects = [Path(one["project"]) / MANIFEST for one in report.get("targets", ())]
    if report.get("made_by") != made or not all(file.exists() for file in projects):
        return None
    return dict(report)


@contextmanager
def kept_told(settings: SearchSettings) -> Iterator[None]:
    """Ctrl-C says what the RUN folder keeps."""
    from tinytailor.nas.run import kept

    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; {settings.run} keeps {kept(settings)}; the same command goes on there"
        ) from None


def search_watched(settings: SearchSettings, watch: Watch) -> SearchResult:
    """The search; the caller holds the RUN folder."""
    from tinytailor.nas.run import search_alone

    with watch.doubts(), watch.stages() as at:
        return search_alone(
            settings, on_progress=lambda step: at(step.stage, step.done, step.total, step.text)
        )


def finish(
    settings: SearchSettings,
    result: SearchResult,
    name: str,
    usages: Sequence[Usage] = (),
    watch: Watch = TERMINAL,
) -> dict[str, Any]:
    """Compile, verify and profile what was found; the report, also written into the RUN folder."""
    folder = Path(settings.run)
    usages = usages or [Usage(settings.supply) for _ in settings.targets]
    places = zip(settings.targets, result.targets, usages, strict=True)
    targets = [emitted(folder, result, name, *place, watch) for place in places]
    report = {
        "kind": SEARCH,
        "schema": 2,
        "data": settings.data,
        "space": settings.space,
        "algorithm": settings.algorithm,
        "metric": settings.metric,
        "class_weights": settings.class_weights,
        "seed": settings.seed,
        "made_by": made_by(name, settings, usages),
        "accuracy": {"float": result.float_accuracy, "integer": result.quantized_accuracy},
        "targets": targets,
        "scores": result.scores,
        "float_scores": result.float_scores,
        "balance": result.balance,
        "architecture": result.architecture,
        "protocol": result.protocol,
        "recipe": result.recipe,
        "effort": result.effort,
        "front": result.front,
        "use": result.use,
        "inputs": result.inputs,
        "trials": result.trials,
        "history": result.history,
        "preprocessing": result.preprocessing,
        "settings": read_json(folder / SETTINGS),
        "seconds": result.seconds,
        "files": {
            "model": result.model,
            "test inputs": str(folder / TEST),
            "report": str(folder / MARKDOWN),
            "report as a page": str(folder / PAGE),
        },
    }
    write_report(folder, report)
    return report


def emitted(
    folder: Path,
    result: SearchResult,
    name: str,
    target: str,
    found: dict[str, Any],
    usage: Usage,
    watch: Watch,
) -> dict[str, Any]:
    """What was ``found`` for one target, and its project with what running that gave."""
    from tinytailor.cli.inputs import load_inputs
    from tinytailor.compiler import profile

    board = load_board(target)
    project = folder / (PROJECT if len(result.targets) == 1 else f"{PROJECT}-{board.name}")
    manifest = compile_file(Path(result.model), target, project, name, watch=watch)
    inputs = load_inputs(folder / TEST, manifest, name="input", expect="output")
    runner = default_runner(board)
    return {
        **found,
        "project": str(project),
        "predicted": predicted(found["predicted"], board, usage.supply),
        "verification": [verify_project(project, on, inputs, watch) for on in ("host", runner)],
        "profile": used(profile(project, runner, inputs.batches[0][:1]), board, usage),
    }


def predicted(cost: dict[str, Any], board: Board, supply: str | None) -> dict[str, Any]:
    """The cost of a network by the table, with its energy."""
    from tinytailor.compiler.mcu.energy import energy_record

    return {**cost, "energy_uj": energy_record(board, cost["latency_ms"], supply)["energy_uj"]}


def write_report(folder: Path, report: dict[str, Any]) -> None:
    from tinytailor.cli.report_page import page

    title = f"{report['data']} on {', '.join(one['name'] for one in report['targets'])}"
    report = rounded(report)
    write_text(folder / MARKDOWN, markdown(title, sections(report)))
    write_text(folder / PAGE, page(report))
    write_json(folder / REPORT, report)


def complaints(report: dict[str, Any]) -> list[TinytailorError]:
    """What is wrong with emitted projects: one computes something else, or is over its budget."""
    found: list[TinytailorError] = []
    for one in report["targets"]:
        if not all(check["bit_exact"] for check in one["verification"]):
            found.append(CheckError(f"the project for {one['name']} is not bit-exact"))
    for one in report["targets"]:
        limits, profile = one["budget"], one["profile"]
        over = [key for key, most in limits.items() if most is not None and profile[key] > most]
        if over:
            text = f"the project for {one['name']} is over the budget in {', '.join(over)}"
            found.append(BudgetError(text))
    return found


def exit_code(report: dict[str, Any]) -> int:
    """1 if a check failed, 3 if an emitted project is over the budget, else 0."""
    found = complaints(report)
    for error in found:
        note(f"error: {error}")
    return found[0].exit_code if found else 0
