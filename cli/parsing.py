# SPDX-License-Identifier: Apache-2.0
"""The command line as it is parsed: wrong usage ends in a sentence and the exit code 2, too.

What typer itself finds wrong (an unknown option, a missing argument, a value that is no number) is
said as the commands say their errors: one sentence on stderr, and with ``--json`` one object on
stdout.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from tinytailor.cli import mixups
from tinytailor.cli.output import INTERRUPTED, report_error
from tinytailor.targets.errors import TinytailorError
from tinytailor.targets.names import no_such

# typer brings its own click or uses an installed one; this is the class of either.
UsageError: type[Any] = typer.BadParameter.__mro__[1]
CHOICE, WORD = re.compile("'([^']*)' is not one of (.*)"), re.compile("'([^']*)'")


class Command(TyperCommand):
    """A command that notices words in each other's places before it misses others."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:  # of the completion of a shell
            mixups.check(ctx, args)
        return super().parse_args(ctx, args)


class Commands(TyperGroup):
    """A group of commands that suggests what a misspelt one may be."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name in self.commands or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        raise no_such(f"no command is called {name!r}", name, self.list_commands(ctx))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        words = sys.argv[1:] if args is None else list(args)
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except UsageError as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # the help of a group, no complaint
                error.show()
                code = error.exit_code
            else:
                code = report_error(_sentence(error), error.exit_code, "--json" in words)
        except TinytailorError as error:
            code = report_error(str(error), error.exit_code, "--json" in words)
        except typer.Abort:
            code = report_error("interrupted", INTERRUPTED, "--json" in words)
        if standalone_mode:
            sys.exit(code or 0)
        return code


def _sentence(error: Any) -> str:
    """What typer says, in the words of this tool, with where to read more."""
    message = error.format_message().strip().rstrip(".")
    message = f"{message[:1].lower()}{message[1:]}"
    if error.ctx is None:
        return message
    command = mixups.path_of(error.ctx)
    name = getattr(error, "option_name", None)
    options = [p for p in error.ctx.command.params if p.param_type_name == "option"]
    known = [option for parameter in options for option in parameter.opts]
    if name is not None and name not in known:
        return str(no_such(f"{command} has no option {name}", name, [*known, "--help"]))
    choice = CHOICE.search(message)
    if choice is not None:
        hint = " / ".join(error.param.opts)
        return str(no_such(f"{hint} cannot be {choice[1]!r}", choice[1], WORD.findall(choice[2])))
    return f"{message}; `{command} --help` says what it takes"
