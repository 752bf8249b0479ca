# SPDX-License-Identifier: Apache-2.0
"""How records become HTML: the templates of this package, and how numbers are written in them.

Names of layers, classes and files come from users; all text is escaped, and what a template lacks
is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup


@lru_cache
def templates() -> jinja2.Environment:
    import jinja2

    folder = files("tinytailor.cli.report_page") / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(folder)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(size=size, percent=percent, grouped=grouped, wide=wide)
    return environment


def draw(template: str, **values: object) -> Markup:
    """The template with its values, as HTML that may stand in another."""
    from markupsafe import Markup

    return Markup(templates().get_template(template).render(values))


def size(count: float) -> str:
    """Bytes as people say them: 136 B, 3.2 KiB, 1.5 MiB."""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{count:.0f} B"


def percent(fraction: float, digits: int = 1) -> str:
    return f"{100 * fraction:.{digits}f} %"


def grouped(count: float) -> str:
    """A whole number in groups of three digits: 12,770,634."""
    return f"{count:,.0f}"


def wide(fraction: float) -> str:
    """A share of a box in CSS; what is more than the whole ends at its border."""
    return f"{100 * min(max(fraction, 0.0), 1.0):.2f}%".replace(".00%", "%")


def listed(words: Sequence[str]) -> str:
    """For a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""
