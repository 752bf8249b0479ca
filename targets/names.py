# SPDX-License-Identifier: Apache-2.0
"""What to say of a name that is not among the known ones.

no target is called 'nucleo-f446'; did you mean nucleo-f446re? known: arduino-nano-33-ble, ...
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher

from tinytailor.targets.errors import InputError

SHOWN = 16  # of a longer list only these stand in a sentence
LIKELY = 3
CUTOFF = 0.6  # of difflib's ratio: 1 is equal
NEAR = 0.1  # names that are this much less alike than the best are left out
PART = 3  # letters of a name that may stand for the whole, as h743 for nucleo-h743zi ...
WHOLE = 0.9  # ... and what that is worth


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
    """Known names that are written almost like ``name``, or of which it is a part, best first."""
    wanted = name.lower()
    scores = {key: _alike(wanted, key.lower()) for key in known}
    least = max(CUTOFF, max(scores.values(), default=0) - NEAR)
    near = [key for key in scores if scores[key] >= least]
    return sorted(near, key=lambda key: -scores[key])[:LIKELY]


def _alike(wanted: str, key: str) -> float:
    whole = len(wanted) >= PART and wanted in key
    return WHOLE if whole else SequenceMatcher(None, wanted, key).ratio()


def _listing(shown: Mapping[str, str], listed_by: str) -> str:
    texts = list(shown.values())
    if len(texts) <= SHOWN:
        return ", ".join(texts) or "none"
    place = f" ({listed_by} lists all)" if listed_by else ""
    return f"{', '.join(texts[:SHOWN])} and {len(texts) - SHOWN} more{place}"
