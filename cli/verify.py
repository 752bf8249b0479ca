# SPDX-License-Identifier: Apache-2.0
"""tinytailor verify: does a compiled project compute the integers of its model, bit for bit?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tinytailor.cli import completion
from tinytailor.cli.options import InputName, InputsFile, Json, ProjectFolder
from tinytailor.cli.output import Result, command
from tinytailor.cli.report import draw
from tinytailor.cli.scores import checked_sections, metric_cells, metric_titles
from tinytailor.cli.watch import TERMINAL, Watch
from tinytailor.targets.errors import CheckError, InputError

if TYPE_CHECKING:
    from tinytailor.cli.inputs import Inputs


@command
def run(
    project: ProjectFolder,
    on: Annotated[
        str | None,
        typer.Option(
            help="host, emulator, qemu or serial:PORT for a board, csim for an FPGA. "
            "[default: emulator, or qemu for a core that only it has; csim]",
            autocompletion=completion.project_runners,
        ),
    ] = None,
    inputs: InputsFile = None,
    input_name: InputName = None,
    part: Annotated[
        str | None,
        typer.Option(
            help="Rows of the file that the search was given: train, test or all. [default: test]"
        ),
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(
            help="Array of the .npz with int8 outputs to compare with: A, of several outputs A,B, "
            "or those of some as OUTPUT=A,OUTPUT=B."
        ),
    ] = None,
    as_json: Json = False,
) -> Result:
    """Run a compiled project and compare every output with the integer model, bit for bit.

    With labels (array y or labels) in the .npz it shows accuracy, balanced accuracy, macro-F1 and
    what is confused with what, too. Of the file that a search was trained on, the test part is
    taken, so that they are those of the search.
    """
    from tinytailor.cli.inputs import load_inputs
    from tinytailor.compiler.project import read_manifest

    manifest = read_manifest(project)
    given = None
    if inputs is not None:
        given = load_inputs(inputs, manifest, name=input_name, expect=expect, part=part)
    elif expect is not None or input_name is not None or part is not None:
        raise InputError("--expect, --input-name and --part choose from an .npz: add --inputs FILE")
    values = verify_project(project, on, given)
    return Result(values, lambda console: show(console, values), exit_code(values))


def exit_code(values: dict[str, Any]) -> int:
    return 0 if values["bit_exact"] else CheckError.exit_code


def verify_project(
    project: Path, on: str | None, given: Inputs | None, watch: Watch = TERMINAL
) -> dict[str, Any]:
    """What compiler.verify found, with scores and differences from expected outputs."""
    from tinytailor.compiler import verify
    from tinytailor.compiler.project import read_manifest

    manifest, rows = read_manifest(project), "random inputs"
    if given is not None:
        rows = f"{len(given.batches[0])} inputs (array {', '.join(given.names)})"
        rows += f", {given.part}" if given.part else ""
        rows += ", quantized from real numbers" if given.quantized else ""
        given.check_labels(manifest["outputs"][0])
        for sentence in given.doubts:
            watch.note(f"warning: {sentence}")
    watch.note(f"running {rows} on {on}" if on else f"running {rows}")
    found = (
        verify(project, on) if given is None else verify(project, on, given.batches, given.reals)
    )
    if given is not None:
        found["part"], found["warnings"] = given.part, list(given.doubts)
    outputs = found.pop("outputs")
    if given is not None and given.labels is not None:
        scores = given.scores(outputs[0], manifest.get("classes", ())).to_json()
        found |= {"accuracy": scores["accuracy"], "scores": scores}
    if given is not None and given.expected:
        names = [output["name"] for output in manifest["outputs"]]
        found["expected"] = given.compare(dict(zip(names, outputs, strict=True)))
    return found


def show(console: Console, values: dict[str, Any]) -> None:
    verdict = "bit-exact" if values["bit_exact"] else "NOT bit-exact"
    console.print(
        f"{verdict}: {values['name']} on {values['on']}, {values['samples']} inputs, "
        f"{values['differing_elements']} of {values['elements']} output elements differ"
    )
    if values["differing_inputs"]:
        console.print(
            f"the emitted quantization differs in {values['differing_inputs']} input elements"
        )
    if "scores" in values:
        scores, (first, *others) = values["scores"], metric_titles()
        most, *rest = metric_cells(scores)
        further = "".join(f", {title} {cell}" for title, cell in zip(others, rest, strict=True))
        part = f", {values['part']}" if values.get("part") else ""
        console.print(f"{first} {most} of {scores['samples']}{part}{further}")
    if "expected" in values:
        whole = values["expected"]
        for what, part in (("outputs", whole), *whole.get("outputs", {}).items()):
            console.print(
                f"against the expected {what}: {part['equal_rows']} of {part['rows']} rows equal, "
                f"{part['differing_elements']} elements differ, by at most "
                f"{part['largest_difference']}"
            )
    if "scores" in values:
        console.print()
        draw(console, checked_sections(values["scores"]))
