# SPDX-License-Identifier: Apache-2.0
"""What to say of a name that is not among the known ones.

no target is called 'nucleo-f446'; did you mean nucleo-f446re? known: arduino-nano-33-ble, ...
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from tinytailor.targets.errors import InputError

SHOWN = 16  # of a longer list only these stand in a sentence
LIKELY = 3
CUTOFF = 0.6  # of difflib: 1 is equal
PART = 3  # letters of a name that may stand for the whole, as h743 for nucleo-h743zi


def no_such(
    problem: str,
    name: str,
    known: Iterable[str] | Mapping[str, str],
    *,
    label: str = "known",
    listed_by: str = "",
    end: str = "",
) -> InputError:
    """``problem``, what may have been meant, and what there is.

    A mapping says how each known name is shown. ``listed_by`` is where all of a long list can be
    read; ``end`` what else could be written.
    """
    shown = dict(known) if isinstance(known, Mapping) else {key: key for key in known}
    near = likely(name, shown)
    meant = f"; did you mean {' or '.join(near)}?" if near else ";"
    other = f", {end}" if end else ""
    return InputError(f"{problem}{meant} {label}: {_listing(shown, listed_by)}{other}")


def likely(name: str, known: Iterable[str]) -> list[str]:
    """Known names that are written almost like ``name``, or of which it is a part."""
    by_lower = {key.lower(): key for key in known}
    wanted = name.lower()
    near = get_close_matches(wanted, by_lower, LIKELY, CUTOFF)
    if len(wanted) >= PART:
        near += [key for key in by_lower if wanted in key and key not in near]
    return [by_lower[key] for key in near[:LIKELY]]


def _listing(shown: Mapping[str, str], listed_by: str) -> str:
    texts = list(shown.values())
    if len(texts) <= SHOWN:
        return ", ".join(texts) or "none"
    place = f" ({listed_by} lists all)" if listed_by else ""
    return f"{', '.join(texts[:SHOWN])} and {len(texts) - SHOWN} more{place}"
