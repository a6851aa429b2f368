"""Commands that a message names, completed so that they run as they stand: program, and ``--config FILE``.

The floors below say ``run: offgrid-gateway keygen``; only the desk knows how it was called.
"""

from __future__ import annotations

import logging
import re
import shlex
import shutil
import sys
from pathlib import Path

import click

PROGRAM = "offgrid-gateway"
_KEY = "gateway.cli.config"
_NAMED = re.compile(
    rf"\b{PROGRAM} (?P<command>[a-z]+(?:-[a-z]+)*)(?![\w-])(?P<next> [a-z]+(?![\w-]))?(?! --config)"
)


def remember(context: click.Context, option: click.Parameter, path: Path) -> Path:
    """An option's callback: the configuration that was named, where it was not the default."""
    source = context.get_parameter_source(option.name or "")
    if source in (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT):
        context.find_root().meta[_KEY] = path
    return path


def completed(text: str) -> str:
    """``text`` with every command of ours as the user would have to type it."""
    context = click.get_current_context(silent=True)
    if context is None or PROGRAM not in text:
        return text
    path = context.find_root().meta.get(_KEY)
    program = _program(sys.argv[0])
    return _NAMED.sub(lambda found: f"{program} {_with_config(found[1], found[2] or '', path)}", text)


class Completing(logging.Filter):
    """The same for what the daemon logs, which was started with that configuration."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in vars(record).items():
            if isinstance(value, str) and PROGRAM in value:
                setattr(record, name, completed(value))
        return True


def _with_config(command: str, following: str, path: Path | None) -> str:
    """The option goes behind the last word of the command: of a group's, that is the second."""
    from gateway.cli import COMMANDS, main

    if path is None or command not in COMMANDS:
        return command + following
    option = (
        f" {shlex.quote(str(path))}" if command == "check-config" else f" --config {shlex.quote(str(path))}"
    )
    found = main.get_command(click.Context(main), command)
    if isinstance(found, click.Group) and following.strip() in found.commands:
        return command + following + option
    return command + option + following


def _program(called: str) -> str:
    """As it was called, where the shell would not find it by its name."""
    if Path(called).name == PROGRAM and shutil.which(PROGRAM) is None:
        return shlex.quote(called)
    return PROGRAM
