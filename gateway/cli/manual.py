"""The manual page, from the commands themselves: ``python -m gateway.cli.manual > offgrid-gateway.1``.

The markup is man(7); what a terminal shows for ``--help`` is told here once more, for all commands.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from inspect import cleandoc

import click

from gateway import __version__
from gateway.cli import COMMANDS, main
from gateway.cli.hints import PROGRAM

FILES = (
    ("/etc/offgrid/config.yml", "The configuration; config.example.yml explains every setting."),
    ("/etc/offgrid/gateway.key, gateway.crt", "The gateway's key and certificate."),
    ("/var/lib/offgrid/gateway.db", "All that was accepted, and the log over it."),
    ("/run/offgrid/control.sock", "Where these commands reach the running gateway."),
)
EXIT_STATUS = (
    ("0", "Fine."),
    ("1", "Failed, or the gateway does not run; doctor: warnings only."),
    ("2", "Usage, or a configuration that is not sound; doctor: something failed."),
)
SEE_ALSO = "The folder docs of the project: troubleshooting.md by symptom, lora-concentrator.md, protocol.md."


def page() -> str:
    """All of it, as man(7) source."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    context = click.Context(main, info_name=PROGRAM)
    yield f'.TH OFFGRID-GATEWAY 1 "" "{PROGRAM} {__version__}" "User Commands"'
    yield ".SH NAME"
    yield f"{_plain(PROGRAM)} \\- signed ledgers in by radio, provable evidence out to a coordinator"
    yield ".SH SYNOPSIS"
    yield f".B {_plain(PROGRAM)}\n.I COMMAND\n[\\fIOPTIONS\\fR]"
    yield ".SH DESCRIPTION"
    yield from _text(main.help or "")
    yield ".SH COMMANDS"
    for name in sorted(COMMANDS):
        command = main.get_command(context, name)
        assert command is not None  # noqa: S101 - it is in the table
        yield from _command(command, name, context)
    yield from _table("EXIT STATUS", EXIT_STATUS)
    yield from _table("FILES", FILES)
    yield ".SH ENVIRONMENT"
    yield ".TP\n.B OFFGRID_CONFIG\nThe configuration file, where \\-\\-config names none."
    yield ".TP\n.B NO_COLOR\nNo colours, on a terminal either."
    yield f".SH SEE ALSO\n{_plain(SEE_ALSO)}"


def _command(command: click.Command, name: str, above: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=above)
    pieces = " ".join(_plain(piece) for piece in command.collect_usage_pieces(context))
    yield f".SS {_plain(context.command_path.removeprefix(PROGRAM + ' '))} {pieces}"
    yield from _text(command.help or "")
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            yield f".TP\n.B {_plain(record[0])}\n{_plain(record[1])}"
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _command(found, inner, context)


def _text(help_text: str) -> Iterator[str]:
    """Paragraphs of a docstring."""
    for paragraph in re.split(r"\n\s*\n", cleandoc(help_text)):
        yield f".PP\n{_plain(' '.join(paragraph.split()))}"


def _table(title: str, rows: tuple[tuple[str, str], ...]) -> Iterator[str]:
    yield f".SH {title}"
    for name, meaning in rows:
        yield f".TP\n.B {_plain(name)}\n{_plain(meaning)}"


def _plain(text: str) -> str:
    """As it stands: no escapes, no requests, no hyphens that a terminal could not be searched for."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text)


if __name__ == "__main__":
    sys.stdout.write(page())
