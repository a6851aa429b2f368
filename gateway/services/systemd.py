"""Tells systemd how the daemon stands: READY, RELOADING, STOPPING and the watchdog; sd_notify(3)."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable

from gateway.clock import Clock

log = logging.getLogger(__name__)


def notify(state: str) -> None:
    """Send one state such as ``READY=1``; without systemd (no ``NOTIFY_SOCKET``) nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket, unix(7)
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        try:
            out.sendto(state.encode(), address)
        except OSError as error:  # the daemon does not fall because nobody listens
            log.warning("systemd was not told", extra={"state": state, "reason": str(error)})


async def watchdog(alive: Callable[[], Awaitable[object]], *, clock: Clock) -> None:
    """Tell systemd twice in each ``WatchdogSec`` that the daemon lives, as long as ``alive()`` returns.

    ``alive`` reads how every part fares, the store first: a loop that turns over a store that hangs is not
    alive. When it fails or hangs, no word goes out, and systemd restarts the daemon. Without a watchdog
    it only waits.
    """
    period_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 2e6
    if not period_s or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        await asyncio.Event().wait()
    while True:
        await alive()
        notify("WATCHDOG=1")
        await clock.sleep(period_s)
