# SPDX-License-Identifier: Apache-2.0
"""tinytailor ops: the operators that the compiler lowers."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Annotated, Any, cast

from rich.console import Console

from tinytailor.cli.options import Json, target_option
from tinytailor.cli.output import Result, command
from tinytailor.cli.tables import draw_table


@command
def run(
    target: Annotated[
        str | None, target_option("Only those that run on this target, with its limits.")
    ] = None,
    as_json: Json = False,
) -> Result:
    """List the integer operators that the compiler lowers, and what each computes."""
    from tinytailor.compiler import operators_of
    from tinytailor.compiler.ops import OPERATORS, tabled
    from tinytailor.targets import load_target

    limits = dict.fromkeys(tabled(), "") if target is None else operators_of(load_target(target))
    rows: list[dict[str, Any]] = []
    for kind, limit in limits.items():
        operator = OPERATORS[kind]
        module = inspect.getmodule(operator)
        rows.append(
            {
                "name": kind,
                "meaning": first_paragraph(module.__doc__ if module else ""),
                "limits": limit,
                "attributes": [field.name for field in dataclasses.fields(cast(Any, operator))],
            }
        )

    def show(console: Console) -> None:
        keys = ("name", "meaning", *(["limits"] if any(limits.values()) else []))
        cells = [tuple(row[key] for key in keys) for row in rows]
        draw_table(console, ("operator", *keys[1:]), cells)

    return Result({"operators": rows}, show)


def first_paragraph(text: str | None) -> str:
    return " ".join((text or "").strip().split("\n\n")[0].split())
