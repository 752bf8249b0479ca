# SPDX-License-Identifier: Apache-2.0
"""Errors a user can act on. Each carries the exit code of the command line contract.

A message is one sentence or a short list: what, where, got, expected, what to do.
"""

from __future__ import annotations


class TinytailorError(Exception):
    """Root of every error raised for a user's sake; never shown with a traceback."""

    exit_code = 2


class Doubt(UserWarning):
    """A warning for a user: what was asked is done, but is hardly what was meant."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with a sentence on what is kept."""


class InputError(TinytailorError):
    """Bad input: a file, a name, a shape or an option that cannot be used as given."""


class CheckError(TinytailorError):
    """A check ran and failed (outputs differ, a file does not match its manifest)."""

    exit_code = 1


class BudgetError(TinytailorError):
    """Nothing fits the budget."""

    exit_code = 3


class ToolError(TinytailorError):
    """A needed tool is missing or failed."""

    exit_code = 4
