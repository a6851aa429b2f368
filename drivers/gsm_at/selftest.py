"""From the port to the network, step by step: what a technician asks of a modem that stays silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from drivers.base import Check
from drivers.errors import DriverConfigError, DriverLost
from drivers.gsm_at import answers
from drivers.gsm_at.bringup import Abilities, SimMissing, bring_up
from drivers.gsm_at.condition import DENIED, REGISTERED
from drivers.gsm_at.disk import Disk
from drivers.gsm_at.rescue import in_order
from drivers.gsm_at.session import Session, Unanswered
from drivers.gsm_at.settings import BY_ID, GsmSettings
from drivers.transport.holders import holders
from drivers.transport.serial_port import SIMULATE, matching_ports, open_serial

WEAK_DBM = -103.0
"""TS 45.008 clause 6.4 has phones camp down to about -104; a text message needs a little more."""

ANTENNA = "check the antenna and its connector; try a place higher up"


async def self_test(settings: GsmSettings, disk: Disk) -> AsyncIterator[Check]:
    """See :class:`drivers.base.SelfTesting`. A PIN is entered once, as ever."""
    paths = in_order(matching_ports(settings.port), settings.interface)
    if not paths:
        fix = f"plug the modem in, or correct the port; {SIMULATE}"
        there = await asyncio.to_thread(matching_ports, BY_ID)
        seen = f"; there are: {', '.join(there)}" if there else "; no USB serial port is there at all"
        yield Check("port", "fail", f"nothing matches {settings.port}{seen}", fix)
        return
    yield Check("port", "pass", ", ".join(paths))
    yield await _holders(paths)
    session = None
    for path in paths:
        check, session = await _answering(path, settings)
        if session is not None or path == paths[-1]:
            yield check
        if session is not None:
            break
    if session is None:
        return
    try:
        async for check in _of_the_modem(session, settings, disk):
            yield check
    except (Unanswered, DriverLost) as gone:
        fix = "look at its supply: modems take 2 A for a moment when they send"
        yield Check("modem", "fail", f"fell silent: {gone}", fix)
    finally:
        await session.close()


async def _holders(paths: Sequence[str]) -> Check:
    """Whoever else reads the port takes half of every answer."""
    found = [f"{holder} has {path}" for path in paths for holder in await asyncio.to_thread(holders, path)]
    if not found:
        return Check("holders", "pass", "nobody else has the port open")
    fix = "stop it, or have it leave this port (ModemManager: udev property ID_MM_PORT_IGNORE)"
    return Check("holders", "warn", "; ".join(found), fix)


async def _answering(path: str, settings: GsmSettings) -> tuple[Check, Session | None]:
    try:
        port = await open_serial(path, settings.baud)
    except (DriverConfigError, DriverLost) as error:
        return Check("modem", "fail", str(error), "look at the port"), None
    session = Session(port, lambda _: None, timeout_s=settings.answer_s)
    try:
        await session.resync()
    except (Unanswered, DriverLost) as error:
        await session.close()
        fix = "is this its AT port, and baud right? Take its supply away for a moment"
        return Check("modem", "fail", f"{path}: no answer ({error})", fix), None
    except BaseException:
        await session.close()
        raise
    return Check("modem", "pass", f"answers on {path}"), session


async def _of_the_modem(session: Session, settings: GsmSettings, disk: Disk) -> AsyncIterator[Check]:
    try:
        abilities = await bring_up(session, settings.pin, disk)
    except SimMissing as missing:
        yield Check(
            "SIM", "fail", str(missing), "put a SIM in, contacts towards the board; or wait and try again"
        )
        return
    except DriverConfigError as wrong:
        yield Check("SIM", "fail", str(wrong).removesuffix(f"; {wrong.fix}"), wrong.fix)
        return
    yield Check("SIM", "pass", f"ready; {abilities.model} {abilities.revision}".rstrip())
    for storage in abilities.storages:
        yield await _storage(session, storage)
    yield await _registration(session, abilities)
    yield await _signal(session)


async def _storage(session: Session, storage: str) -> Check:
    fill = answers.storage_fill((await session.ask(f'AT+CPMS="{storage}"', session.slow_s)).lines)
    name = f"storage {storage}"
    if fill is None:
        return Check(name, "warn", "does not say how full it is", "none is needed while messages arrive")
    if fill.used >= fill.total:
        return Check(name, "warn", f"{fill.used} of {fill.total} used", "start the gateway: it empties it")
    return Check(name, "pass", f"{fill.used} of {fill.total} used")


async def _registration(session: Session, abilities: Abilities) -> Check:
    seen = [
        answers.registration((await session.ask(f"AT{name}?")).lines, name) for name in abilities.networks
    ]
    if any(stat in REGISTERED for stat in seen):
        operator = answers.operator((await session.ask("AT+COPS?")).lines)
        return Check("registration", "pass", f"registered with {operator or 'a network'}")
    if DENIED in seen:
        return Check("registration", "fail", "denied", "ask the operator whether the SIM is active")
    return Check("registration", "fail", "not registered", ANTENNA)


async def _signal(session: Session) -> Check:
    dbm = answers.signal_dbm((await session.ask("AT+CSQ")).lines)
    if dbm is None:
        return Check("signal", "warn", "the modem does not know", ANTENNA)
    if dbm < WEAK_DBM:
        return Check("signal", "warn", f"{dbm:.0f} dBm, weak", ANTENNA)
    return Check("signal", "pass", f"{dbm:.0f} dBm")
