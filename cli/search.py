# SPDX-License-Identifier: Apache-2.0
"""tinytailor search: the most accurate network within a budget, found, compiled and checked.

rows the tables lack are measured -> search, train, quantize (nas.run) -> RUN/model.onnx
-> for each target: compile into a project, verify and profile on the test part
-> RUN/report.json, report.md
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinytailor.cli.compile import compile_file
from tinytailor.cli.measure import default_table, load_board, measure_keys, space_keys
from tinytailor.cli.options import DataName, Json, Seed, SpaceName, Workers
from tinytailor.cli.output import Result, command, note, stages
from tinytailor.cli.report import MARKDOWN, REPORT, SEARCH, draw, markdown, sections
from tinytailor.cli.verify import verify_project
from tinytailor.targets import default_runner
from tinytailor.targets.errors import BudgetError, CheckError, InputError
from tinytailor.targets.files import only_writer, write_json, write_text

if TYPE_CHECKING:
    from tinytailor.nas.run import SearchResult, SearchSettings
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
TableFiles = Annotated[
    str | None,
    typer.Option(
        "--table",
        help="Latency table, by default tables/CORE-SPACE.jsonl; what it lacks is measured. Of "
        "several targets one for all, or one for each, with commas.",
    ),
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
    space: SpaceName = "timeseries",
    algorithm: Annotated[str, typer.Option(help="How: a wrong name lists all.")] = "dnas",
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
    from tinytailor.nas.run import SearchSettings, check_settings

    check_name(name)
    boards = load_boards(target)
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
        seed=seed,
        allow_estimates=allow_estimates,
        **budget_limits(tuple(boards.values()), latency, ram, flash),
        **given,
    )
    check_settings(settings)
    # Measuring comes first: a search needs every price, and both can be interrupted freely.
    if not allow_estimates:
        measure_tables(paths, tuple(boards.values()), space, data, workers)
    with only_writer(out):
        report = finish(settings, search_with_bars(settings), name)
    return Result(report, lambda console: draw(console, sections(report)), exit_code(report))


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


def measure_tables(
    paths: Sequence[Path], boards: Sequence[Board], space: str, data: str, workers: int
) -> None:
    """Complete each board's table; boards of one core that share one need it once."""
    pairs = zip(paths, boards, strict=True)
    for (path, _), board in {(path, one.core.name): one for path, one in pairs}.items():
        measure_keys(space_keys(space, data, board), board, path, workers=workers)


def budget_limits(
    boards: Sequence[Board], latency: str | None, ram: str | None, flash: str | None
) -> dict[str, Any]:
    """The budget in numbers, None where there is no limit but what a board has."""
    from tinytailor.latency_tables import parse_bytes, parse_latency

    limits: dict[str, Any] = {"latency_ms": None if latency is None else parse_latency(latency)}
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

    with stages() as at:
        return search_alone(
            settings, on_progress=lambda step: at(step.stage, step.done, step.total, step.text)
        )


def finish(settings: SearchSettings, result: SearchResult, name: str) -> dict[str, Any]:
    """Compile, verify and profile what was found; the report, also written into the RUN folder."""
    folder = Path(settings.run)
    pairs = zip(settings.targets, result.targets, strict=True)
    targets = [emitted(folder, result, target, found, name) for target, found in pairs]
    report = {
        "kind": SEARCH,
        "schema": 2,
        "data": settings.data,
        "space": settings.space,
        "algorithm": settings.algorithm,
        "seed": settings.seed,
        "accuracy": {"float": result.float_accuracy, "integer": result.quantized_accuracy},
        "targets": targets,
        "architecture": result.architecture,
        "trials": result.trials,
        "preprocessing": result.preprocessing,
        "seconds": result.seconds,
        "files": {
            "model": result.model,
            "test inputs": str(folder / TEST),
            "report": str(folder / MARKDOWN),
        },
    }
    write_report(folder, report)
    return report


def emitted(
    folder: Path, result: SearchResult, target: str, found: dict[str, Any], name: str
) -> dict[str, Any]:
    """What was ``found`` for one target, and its project with what running that gave."""
    from tinytailor.cli.inputs import load_inputs
    from tinytailor.compiler import profile

    board = load_board(target)
    project = folder / (PROJECT if len(result.targets) == 1 else f"{PROJECT}-{board.name}")
    manifest = compile_file(Path(result.model), target, project, name)
    inputs = load_inputs(
        folder / TEST,
        manifest["inputs"],
        name="input",
        expect="output",
        model_outputs=manifest["outputs"],
    )
    runner = default_runner(board)
    return {
        **found,
        "project": str(project),
        "verification": [verify_project(project, on, inputs) for on in ("host", runner)],
        "profile": profile(project, runner, inputs.batches[0][:1]),
    }


def write_report(folder: Path, report: dict[str, Any]) -> None:
    title = f"{report['data']} on {', '.join(one['name'] for one in report['targets'])}"
    text = markdown(title, sections(report))
    write_text(folder / MARKDOWN, text)
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
