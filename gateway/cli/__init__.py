"""What a technician types: ``offgrid-gateway COMMAND``; one file a command, imported when it is typed.

To add a command: a file in this folder with a click command named ``command`` (else ``module:name``), and a
row in ``COMMANDS``.

Exit codes: 0 fine, 1 failed, 2 usage or configuration. Expected failures are raised as
:class:`gateway.errors.GatewayError` and printed here, on standard error, without a traceback.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

import click

from gateway import __version__
from gateway.cli.hints import completed
from gateway.errors import ConfigError, GatewayError

# Name → module and the line that --help shows (so that --help imports no command).
COMMANDS: Mapping[str, tuple[str, str]] = {
    "access-point": ("gateway.cli.access_point", "Open or close a Wi-Fi of the gateway's own."),
    "applied": ("gateway.cli.applied", "What the coordinator applied over the configuration; --drop."),
    "audit": ("gateway.cli.audit", "Check a gateway's log, its checkpoints and receipts from the outside."),
    "audit-log": ("gateway.cli.audit_log", "Who did what to this gateway, and whether the record is whole."),
    "bundle": ("gateway.cli.bundle", "Verify a bundle; list those that are carried."),
    "backup": ("gateway.cli.backup", "Copies of the log off this device: made, listed, verified, tried."),
    "check-config": ("gateway.cli.check_config", "Judge a configuration file; name every problem in it."),
    "doctor": ("gateway.cli.doctor", "Examine machine, radios, disk, keys and network; say what mends what."),
    "conflicts": ("gateway.cli.conflicts", "List, show and verify evidence of double spends."),
    "export": (
        "gateway.cli.export",
        "Write the log, and what is carried for others, to a folder as bundles.",
    ),
    "first-boot": ("gateway.cli.first_boot", "Set the gateway up from a file on a flashed card, once."),
    "firmware": ("gateway.cli.firmware", "Import what a concentrator needs of its maker, or look at it."),
    "import": ("gateway.cli.take_in", "Take in bundles to carry, or acks of the coordinator."),
    "init": ("gateway.cli.init", "Set a gateway up: five answers, a configuration, keys, what is missing."),
    "keygen": ("gateway.cli.keygen", "Make the gateway's key and certificate."),
    "log": ("gateway.cli.log", "Show, prove and verify what was logged."),
    "radios": ("gateway.cli.radios", "What the radios hear and send, by channel and spreading factor."),
    "register": ("gateway.cli.register", "Register with the coordinator and pin its key."),
    "reload": ("gateway.cli.tell:reload", "Have the running gateway read its configuration again."),
    "restart": ("gateway.cli.tell:restart", "Run one service of the running gateway anew."),
    "restore": ("gateway.cli.restore", "Make the database again from its backup."),
    "rotate": ("gateway.cli.rotate", "Put a new certificate in force without a restart."),
    "run": ("gateway.cli.run", "Run the gateway."),
    "status": ("gateway.cli.status", "How the running gateway fares, on one screen."),
    "support-bundle": (
        "gateway.cli.support_bundle",
        "One archive for whoever helps from afar, without secrets.",
    ),
    "sync": ("gateway.cli.tell:sync", "Try the coordinator at once."),
    "token": ("gateway.cli.token", "Who may act on the gateway's page, and until when."),
    "test-lora": ("gateway.cli.selftest", "Test the concentrator, its antenna and the GPS, step by step."),
}


class CommandLine(click.Group):
    """A group whose commands are imported on demand, and whose expected failures become exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name or "command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not close:
                raise
            raise click.UsageError(f"{error.message} Did you mean {close[0]!r}?", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            for problem in error.problems:
                click.echo(completed(str(problem)), err=True)
            ctx.exit(2)
        except GatewayError as error:
            click.echo(f"error: {completed(str(error))}", err=True)
            ctx.exit(1)


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="offgrid-gateway")
def main() -> None:
    """The off-grid gateway: signed ledgers in by radio, provable evidence out to a coordinator."""
