# SPDX-License-Identifier: Apache-2.0
"""tinytailor search: the most accurate network within a budget, found, compiled and checked.

rows the tables lack are measured -> search, train, quantize (nas.run) -> RUN/model.onnx
-> for each target: compile into a project, verify and profile on the test part
-> RUN/report.json, report.md, report.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinytailor.cli import completion
from tinytailor.cli.compile import compile_file
from tinytailor.cli.energy import BatteryText, Idle, Period, Supply, parse_usage, used
from tinytailor.cli.measure import default_table, load_board, measure_keys, space_keys
from tinytailor.cli.options import DataName, Json, Seed, SpaceName, Workers
from tinytailor.cli.output import Result, command, doubts_told, note, rounded
from tinytailor.cli.progress import stages
from tinytailor.cli.report import MARKDOWN, PAGE, REPORT, SEARCH, SETTINGS, draw, markdown, sections
from tinytailor.cli.verify import verify_project
from tinytailor.targets import Usage, default_runner
from tinytailor.targets.errors import BudgetError, CheckError, InputError, Interrupted
from tinytailor.targets.files import only_writer, read_json, write_json, write_text

if TYPE_CHECKING:
    from tinytailor.nas.run import SearchResult
    from tinytailor.nas.settings import SearchSettings
    from tinytailor.targets import Board

PROJECT, TEST = "project", "test.npz"
EFFORT = ("trials", "search_epochs", "trial_epochs", "epochs", "quantized_epochs")

TargetNames = Annotated[
    str,
    typer.Option(
        "--target",
        "-t",
        help="A name that `tinytailor targets` lists, or a .toml file; or several, with commas: "
        "one network that keeps the budget on each.",
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
        help="What decides between trials, on the validation part: accuracy, "
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
    ram: Ram = None,
    flash: Flash = None,
    energy: Energy = None,
    supply: Supply = None,
    period: Period = None,
    battery: BatteryText = None,
    idle: Idle = None,
    space: SpaceName = "timeseries",
    algorithm: Algorithm = "dnas",
    metric: Metric = "accuracy",
    class_weights: ClassWeights = "none",
    table: TableFiles = None,
    allow_estimates: AllowEstimates = False,
    name: Annotated[str, typer.Option(help="Prefix of the C functions.")] = "model",
    trials: Annotated[int | None, typer.Option(help="Networks to propose and compare.")] = None,
    search_epochs: Annotated[int | None, typer.Option(help="Epochs of each search.")] = None,
    trial_epochs: Annotated[int | None, typer.Option(help="Epochs to judge a proposal.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of the final training.")] = None,
    quantized_epochs: Annotated[int | None, typer.Option(help="Epochs in int8 after it.")] = None,
    workers: Workers = 1,
    seed: Seed = 0,
    as_json: Json = False,
) -> Result:
    """Find, train, quantize and compile the most accurate network within a budget.

    Interrupt it at any time: the same command goes on where it stopped.
    """
    from tinytailor.compiler.project import check_name
    from tinytailor.nas.settings import SearchSettings, check_run, check_settings

    check_name(name)
    boards = load_boards(target)
    usages = [parse_usage(one, supply, period, battery, idle) for one in boards.values()]
    paths = table_files(table, boards, space)
    efforts = (trials, search_epochs, trial_epochs, epochs, quantized_epochs)
    given: dict[str, Any] = {o: n for o, n in zip(EFFORT, efforts, strict=True) if n is not None}
    settings = SearchSettings(
        data=data,
        targets=tuple(boards),
        tables=tuple(map(str, paths)),
        run=str(out),
        space=space,
        algorithm=algorithm,
        metric=metric,
        class_weights=class_weights,
        seed=seed,
        allow_estimates=allow_estimates,
        supply=supply,
        **budget_limits(tuple(boards.values()), latency, ram, flash, energy, usages[0].period_ms),
        **given,
    )
    check_settings(settings)
    made = made_by(name, usages)
    if not check_run(out, settings) or (report := finished(out, made)) is None:
        # Measuring comes first: a search needs every price, and both can be interrupted freely.
        if not allow_estimates:
            measure_tables(settings, list(boards.values()), workers)
        with only_writer(out), kept_told(settings):
            found = search_with_bars(settings)
            report = finish(settings, found, name, usages)
    return Result(report, lambda console: draw(console, sections(report)), exit_code(report))


def measure_tables(settings: SearchSettings, boards: Sequence[Board], workers: int) -> None:
    """Complete each board's table; boards of one core that share one need it once."""
    pairs = zip(settings.tables, boards, strict=True)
    for (path, _), board in {(path, one.core.name): one for path, one in pairs}.items():
        keys = space_keys(settings.space, settings.data, board)
        measure_keys(keys, board, Path(path), workers=workers)


def made_by(name: str, usages: Sequence[Usage]) -> dict[str, Any]:
    """What decides the report of a search that is done: this tool, and how it was called."""
    from tinytailor.compiler.project import tool_version
    from tinytailor.latency_tables.table.origin import compiler_digest

    how = {"name": name, "usages": [asdict(one) for one in usages]}
    return {"version": tool_version(), "compiler": compiler_digest(), **how}


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
    note(f"{folder} holds this search, done; its report again:")
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


def load_boards(targets: str) -> dict[str, Board]:
    """The boards of --target by what they were given as; each has a name of its own."""
    boards: dict[str, Board] = {}
    for target in targets.split(","):
        board = load_board(target.strip())
        if board.name in (other.name for other in boards.values()):
            raise InputError(f"--target {targets}: {board.name} is there twice")
        boards[target.strip()] = board
    return boards


def table_files(given: str | None, boards: dict[str, Board], space: str) -> list[Path]:
    """The table of each board, in the order of the boards."""
    if given is None:
        return [default_table(board, space) for board in boards.values()]
    paths = [Path(path.strip()) for path in given.split(",")]
    if len(paths) == 1:
        return paths * len(boards)
    if len(paths) != len(boards):
        raise InputError(
            f"--table {given}: {len(paths)} files for {len(boards)} targets; give one for all, or "
            "one for each in the order of --target"
        )
    return paths


def budget_limits(
    boards: Sequence[Board],
    latency: str | None,
    ram: str | None,
    flash: str | None,
    energy: str | None = None,
    period_ms: float | None = None,
) -> dict[str, Any]:
    """The budget in numbers, None where there is no limit but what a board has; time is limited by
    how often an inference is wanted."""
    from tinytailor.latency_tables import parse_bytes, parse_energy, parse_latency

    limits: dict[str, Any] = {
        "latency_ms": period_ms if latency is None else parse_latency(latency),
        "energy_uj": None if energy is None else parse_energy(energy),
    }
    if period_ms is not None and limits["latency_ms"] > period_ms:
        raise InputError(f"--latency {latency} is longer than --period, {period_ms:g} ms")
    for name, text in (("ram", ram), ("flash", flash)):
        most = limits[f"{name}_bytes"] = None if text is None else parse_bytes(text)
        for board in boards:
            size = getattr(board, name).bytes
            if most is not None and most > size:
                raise InputError(f"--{name} {text} is more than {board.name} has: {size} bytes")
    return limits


def search_with_bars(settings: SearchSettings) -> SearchResult:
    """The search with a bar on stderr for each of its stages; the caller holds the RUN folder."""
    from tinytailor.nas.run import search_alone

    with doubts_told(), stages() as at:
        return search_alone(
            settings, on_progress=lambda step: at(step.stage, step.done, step.total, step.text)
        )


def finish(
    settings: SearchSettings, result: SearchResult, name: str, usages: Sequence[Usage] = ()
) -> dict[str, Any]:
    """Compile, verify and profile what was found; the report, also written into the RUN folder."""
    folder = Path(settings.run)
    usages = usages or [Usage(settings.supply) for _ in settings.targets]
    places = zip(settings.targets, result.targets, usages, strict=True)
    targets = [emitted(folder, result, name, *place) for place in places]
    report = {
        "kind": SEARCH,
        "schema": 2,
        "data": settings.data,
        "space": settings.space,
        "algorithm": settings.algorithm,
        "metric": settings.metric,
        "class_weights": settings.class_weights,
        "seed": settings.seed,
        "made_by": made_by(name, usages),
        "accuracy": {"float": result.float_accuracy, "integer": result.quantized_accuracy},
        "targets": targets,
        "scores": result.scores,
        "float_scores": result.float_scores,
        "balance": result.balance,
        "architecture": result.architecture,
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
) -> dict[str, Any]:
    """What was ``found`` for one target, and its project with what running that gave."""
    from tinytailor.cli.inputs import load_inputs
    from tinytailor.compiler import profile

    board = load_board(target)
    project = folder / (PROJECT if len(result.targets) == 1 else f"{PROJECT}-{board.name}")
    manifest = compile_file(Path(result.model), target, project, name)
    inputs = load_inputs(folder / TEST, manifest, name="input", expect="output")
    runner = default_runner(board)
    return {
        **found,
        "project": str(project),
        "predicted": predicted(found["predicted"], board, usage.supply),
        "verification": [verify_project(project, on, inputs) for on in ("host", runner)],
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


def exit_code(report: dict[str, Any]) -> int:
    """1 if a check failed, 3 if an emitted project is over the budget, else 0."""
    targets = report["targets"]
    if not all(check["bit_exact"] for one in targets for check in one["verification"]):
        return CheckError.exit_code
    code = 0
    for one in targets:
        limits, profile = one["budget"], one["profile"]
        over = [key for key, most in limits.items() if most is not None and profile[key] > most]
        if over:
            note(f"error: the project for {one['name']} is over the budget in {', '.join(over)}")
            code = BudgetError.exit_code
    return code
