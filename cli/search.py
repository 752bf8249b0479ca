# SPDX-License-Identifier: Apache-2.0
"""tinytailor search: the most accurate network within a budget, found, compiled and checked.

rows the table lacks are measured -> search, train, quantize (nas.run) -> RUN/model.onnx
-> compile into RUN/project -> verify and profile on the test part
-> RUN/report.json, report.md, report.html
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinytailor.cli.compile import compile_file
from tinytailor.cli.measure import default_table, load_board, measure_keys, space_keys
from tinytailor.cli.options import DataName, Json, Seed, SpaceName, TargetName, Workers
from tinytailor.cli.output import Result, command, note, stages
from tinytailor.cli.report import MARKDOWN, PAGE, REPORT, SEARCH, SETTINGS, draw, markdown, sections
from tinytailor.cli.verify import verify_project
from tinytailor.targets import default_runner
from tinytailor.targets.errors import BudgetError, CheckError, InputError
from tinytailor.targets.files import only_writer, read_json, write_json, write_text

if TYPE_CHECKING:
    from tinytailor.nas.run import SearchResult, SearchSettings
    from tinytailor.targets import Board

PROJECT = "project"
EFFORT = ("trials", "search_epochs", "trial_epochs", "epochs", "quantized_epochs")

Latency = Annotated[str | None, typer.Option(help="Most time of an inference, as 10ms.")]
Ram = Annotated[str | None, typer.Option(help="Most RAM, as 64KiB; else the board's.")]
Flash = Annotated[str | None, typer.Option(help="Most flash, as 256KiB; else the board's.")]
TableFile = Annotated[
    Path | None,
    typer.Option(
        "--table",
        help="Latency table, by default tables/TARGET-SPACE.jsonl; what it lacks is measured.",
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
    target: TargetName,
    out: Annotated[Path, typer.Option("--out", "-o", help="RUN folder; an old one is continued.")],
    latency: Latency = None,
    ram: Ram = None,
    flash: Flash = None,
    space: SpaceName = "timeseries",
    algorithm: Annotated[str, typer.Option(help="How: a wrong name lists all.")] = "dnas",
    table: TableFile = None,
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
    board = load_board(target)
    efforts = (trials, search_epochs, trial_epochs, epochs, quantized_epochs)
    given: dict[str, Any] = {o: n for o, n in zip(EFFORT, efforts, strict=True) if n is not None}
    settings = SearchSettings(
        data=data,
        target=target,
        table=str(table or default_table(board, space)),
        run=str(out),
        space=space,
        algorithm=algorithm,
        seed=seed,
        allow_estimates=allow_estimates,
        **budget_limits(board, latency, ram, flash),
        **given,
    )
    check_settings(settings)
    # Measuring comes first: a search needs every price, and both can be interrupted freely.
    if not allow_estimates:
        measure_keys(space_keys(space, data, board), board, Path(settings.table), workers=workers)
    with only_writer(out):
        report = finish(settings, search_with_bars(settings), name)
    return Result(report, lambda console: draw(console, sections(report)), exit_code(report))


def budget_limits(
    board: Board, latency: str | None, ram: str | None, flash: str | None
) -> dict[str, Any]:
    """The budget in numbers; memory that is not limited is limited by the board."""
    from tinytailor.latency_tables import parse_bytes, parse_latency

    limits: dict[str, Any] = {"latency_ms": None if latency is None else parse_latency(latency)}
    for name, text, size in (("ram", ram, board.ram.bytes), ("flash", flash, board.flash.bytes)):
        limits[f"{name}_bytes"] = size if text is None else parse_bytes(text)
        if limits[f"{name}_bytes"] > size:
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
    from tinytailor.cli.inputs import load_inputs
    from tinytailor.compiler import profile

    folder = Path(settings.run)
    project, test = folder / PROJECT, folder / "test.npz"
    manifest = compile_file(Path(result.model), settings.target, project, name)
    inputs = load_inputs(
        test,
        manifest["inputs"],
        name="input",
        expect="output",
        model_outputs=manifest["outputs"],
    )
    runner = default_runner(load_board(settings.target))
    checks = [verify_project(project, on, inputs) for on in ("host", runner)]
    report = {
        "kind": SEARCH,
        "schema": 1,
        "data": settings.data,
        "target": manifest["target"],
        "space": settings.space,
        "algorithm": settings.algorithm,
        "seed": settings.seed,
        "budget": result.budget,
        "accuracy": {"float": result.float_accuracy, "integer": result.quantized_accuracy},
        "verification": checks,
        "predicted": result.cost,
        "profile": profile(project, runner, inputs.batches[0][:1]),
        "architecture": result.architecture,
        "trials": result.trials,
        "history": result.history,
        "preprocessing": result.preprocessing,
        "settings": read_json(folder / SETTINGS),
        "seconds": result.seconds,
        "files": {
            "C project": str(project),
            "model": result.model,
            "test inputs": str(test),
            "latency table": settings.table,
            "report": str(folder / MARKDOWN),
            "report as a page": str(folder / PAGE),
        },
    }
    write_report(folder, report)
    return report


def write_report(folder: Path, report: dict[str, Any]) -> None:
    from tinytailor.cli.report_page import page

    title = f"{report['data']} on {report['target']}"
    text = markdown(title, sections(report))
    write_text(folder / MARKDOWN, text)
    write_text(folder / PAGE, page(report))
    write_json(folder / REPORT, report)


def exit_code(report: dict[str, Any]) -> int:
    """1 if a check failed, 3 if the emitted project is over the budget, else 0."""
    if not all(check["bit_exact"] for check in report["verification"]):
        return CheckError.exit_code
    limits, profile = report["budget"], report["profile"]
    over = [key for key, most in limits.items() if most is not None and profile[key] > most]
    if over:
        note(f"error: the emitted project is over the budget in {', '.join(over)}")
        return BudgetError.exit_code
    return 0
