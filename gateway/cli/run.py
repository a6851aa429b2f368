"""``run``: the daemon, in the foreground; systemd or a terminal is above it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import click

from gateway.cli.hints import Completing
from gateway.cli.options import config_option


@click.command("run")
@config_option
def command(config_path: Path) -> None:
    """Run the gateway until SIGTERM or Ctrl-C; SIGHUP reads the configuration again.

    Exits with 0 when it was told to stop, 1 when it cannot go on, 2 when the configuration is wrong.
    """
    # A SIGHUP of these first moments waits until somebody listens; its default would end the process.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    from gateway.app.starting import start
    from gateway.services import logs

    config, said = start(config_path)
    logs.configure(config.logging.level, config.logging.format)
    for out in logging.getLogger().handlers:
        out.addFilter(Completing())
    if said:
        logging.getLogger(__name__).error("applied configuration not in force", extra={"reason": said})
    from gateway.app.plan import run  # what is wrong with the configuration was told without waiting for this

    if asyncio.run(run(config_path, config)):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        # The same process, so systemd sees none end; what it runs is how it was started itself.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell is wanted
