"""Bringing a silent modem back: ask again, then CFUN, then the power pin; and finding its port."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from drivers.base import Clock
from drivers.errors import DriverLost
from drivers.gsm_at.bringup import greet
from drivers.gsm_at.disk import Disk
from drivers.gsm_at.session import Session, Unanswered
from drivers.gsm_at.settings import GsmSettings
from drivers.gsm_at.spool import STATE
from drivers.transport.gpio import open_output
from drivers.transport.opening import open_on_thread
from drivers.transport.serial_port import interface_of

log = logging.getLogger(__name__)

RESET_RECORD = "reset"
PRESS_S = 1.5  # PWRKEY: SIM800 1 s, SIM7600 and EC25 0.5 s to 2 s low
# The interface on which each maker's modems understand AT and nothing else talks.
AT_INTERFACES = {
    **{"A76XX": 4, "SimTech": 2, "SIMCOM": 2, "Quectel": 2},  # the first that fits: an A76XX is SimTech's too
    **{"HUAWEI": 2, "Sierra": 3, "Telit": 4, "u-blox": 2},
}


def in_order(paths: Sequence[str], interface: int | None) -> list[str]:
    """Ports to try: those of that ``interface``, else what is known of their makers, else all."""
    if interface is not None:
        return [path for path in paths if interface_of(path) == interface]
    return [path for path in paths if _is_at_port(path)] or list(paths)


def _is_at_port(path: str) -> bool:
    wanted = next((at for maker, at in AT_INTERFACES.items() if maker.lower() in path.lower()), None)
    return wanted is not None and interface_of(path) == wanted


class Rescue:
    """The watchdog's three steps; what drops a data connection over the same modem needs leave."""

    def __init__(self, name: str, settings: GsmSettings, disk: Disk, clock: Clock) -> None:
        self._name, self._settings, self._disk, self._clock = name, settings, disk, clock
        self._last_s: float | None = None
        self.resets = 0

    async def revive(self, session: Session) -> None:
        """Returns with a modem that answers. Raises :class:`DriverLost` when it cannot be brought back."""
        if await self._answers(session):
            return
        if not self._settings.may_reset_bearer:
            raise DriverLost("the modem does not answer; gsm.may_reset_bearer would let the gateway reset it")
        if not await self._may_reset_now():
            raise DriverLost("the modem does not answer, and was reset a moment ago")
        log.warning("modem does not answer: restarting it by CFUN", extra={"radio": self._name})
        await session.shout("AT+CFUN=1,1")
        if await self._comes_back(session):
            return
        if self._settings.power_pin:
            log.warning("modem does not answer: pressing its power pin", extra={"radio": self._name})
            await self._press()
            if await self._comes_back(session):
                return
        raise DriverLost("the modem does not answer, not even after a restart")

    async def _answers(self, session: Session) -> bool:
        try:
            return await greet(session)
        except Unanswered:
            return False

    async def _comes_back(self, session: Session) -> bool:
        until = self._clock.monotonic() + self._settings.restart_s
        while self._clock.monotonic() < until:
            await self._clock.sleep(min(1.0, self._settings.restart_s / 10))
            if await self._answers(session):
                return True
        return False

    async def _press(self) -> None:
        """Whoever is cancelled meanwhile stays until the key is let go of: held longer, it switches the modem
        off. And cancelled it is, for the port of a modem that restarts vanishes."""
        pressing = asyncio.create_task(self._press_key(), name="gsm power key")
        try:
            await asyncio.wait((pressing,))
        finally:
            await asyncio.wait((pressing,))
        pressing.result()

    async def _press_key(self) -> None:
        """PWRKEY through its transistor: high is pressed. The line's calls block, so a thread makes them."""
        line = await open_on_thread(partial(open_output, self._settings.power_pin))
        try:
            await asyncio.to_thread(line.set, True)
            await self._clock.sleep(PRESS_S)
            await asyncio.to_thread(line.set, False)
        except OSError as error:
            raise DriverLost(f"the power pin {self._settings.power_pin} cannot be driven: {error}") from error
        finally:
            await asyncio.to_thread(line.close)

    async def _may_reset_now(self) -> bool:
        """At most one each ``reset_interval_s``, restarts of ours included; a stepped clock allows one."""
        now_s = self._clock.monotonic()
        interval_s = self._settings.reset_interval_s
        if self._last_s is not None and now_s - self._last_s < interval_s:
            return False
        unix_s = self._clock.unix_ns() / 1e9
        record = await self._disk.state(RESET_RECORD)
        remembered = int(record) if record is not None and record.isdigit() else None
        if self._last_s is None and remembered is not None and 0 <= unix_s - remembered < interval_s:
            return False
        self._last_s = now_s
        self.resets += 1
        await self._disk.put(STATE, RESET_RECORD, b"%d" % unix_s)
        return True
