"""``python -m simulators``: one simulator a command, each in its own file under ``commands``."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import click

import simulators.commands


class _OneFileEach(click.Group):
    """Imports a command's file only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(module.name for module in iter_modules(simulators.commands.__path__))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"simulators.commands.{name}").command
        return command


@click.command(cls=_OneFileEach)
def main() -> None:
    """Simulated far ends for the gateway."""


if __name__ == "__main__":
    main(prog_name="python -m simulators")
