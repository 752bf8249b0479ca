# SPDX-License-Identifier: Apache-2.0
"""tinytailor ops: the operators that the compiler lowers."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from tinytailor.cli.options import Json
from tinytailor.cli.output import Result, command


@command
def run(as_json: Json = False) -> Result:
    """List the integer operators that the compiler lowers, and what each computes."""
    from tinytailor.compiler.ops import OPERATORS

    rows: list[dict[str, Any]] = []
    for kind, operator in OPERATORS.items():
        module = inspect.getmodule(operator)
        rows.append(
            {
                "name": kind,
                "meaning": first_paragraph(module.__doc__ if module else ""),
                "attributes": [field.name for field in dataclasses.fields(cast(Any, operator))],
            }
        )

    def show(console: Console) -> None:
        table = Table("operator", "meaning")
        for row in rows:
            table.add_row(row["name"], row["meaning"])
        console.print(table)

    return Result({"operators": rows}, show)


def first_paragraph(text: str | None) -> str:
    return " ".join((text or "").strip().split("\n\n")[0].split())
