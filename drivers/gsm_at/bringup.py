"""What is said to a modem before it is used; every choice is made from what it offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from drivers.errors import DriverConfigError
from drivers.gsm_at import answers
from drivers.gsm_at.engine import Reply
from drivers.gsm_at.session import Session

SIM_BUSY = (14, 515)  # CME and CMS: it has just started
SIM_MISSING = (10, 13, 15, 310, 313)  # no SIM, failure, wrong kind
SIM_WORDS = {10: "no SIM", 13: "the SIM fails", 14: "the SIM is busy", 15: "a SIM of the wrong kind"}
NETWORKS = ("+CREG", "+CGREG", "+CEREG")


class SimMissing(Exception):
    """There is no SIM, or it is not ready yet; look again."""


class PinMemory(Protocol):
    """Remembers on disk that a PIN was refused, so that no restart tries it again (two more: PUK)."""

    async def pin_spent(self) -> bool: ...

    async def spend_pin(self) -> None: ...

    async def pin_accepted(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What this modem is and what was chosen."""

    model: str
    revision: str
    imei: str
    storages: tuple[str, ...]  # to be swept
    receives_into: str
    indications: str  # the CNMI setting; empty where none is offered
    reports: int  # status reports: 0 none, 1 handed over, 2 stored
    networks: tuple[str, ...]  # the registration commands it knows


async def greet(session: Session) -> bool:
    """Is a modem there? Leaves the echo off."""
    await session.resync()
    return (await session.ask("ATE0")).ok


async def bring_up(session: Session, pin: str, memory: PinMemory) -> Abilities:
    """From a modem that answers to one that receives.

    Raises :class:`SimMissing`, :class:`DriverConfigError` (PIN) and what :class:`Session` raises.
    """
    await greet(session)
    await session.ask("AT+CMEE=1")
    model, revision, imei = [answers.bare((await session.ask(f"AT+{what}")).lines) for what in IDENTITY]
    await unlock(session, pin, memory)
    await _insist(session, "AT+CMGF=0")
    await session.ask('AT+CSCS="GSM"')  # only operators' names are meant; PDUs know no character set
    storages, receives_into = await _choose_storages(session)
    indications = choose_indications(answers.indications_offered((await session.ask("AT+CNMI=?")).lines))
    if indications:
        await _insist(session, f"AT+CNMI={indications}")
    keep_open = answers.told((await session.ask("AT+CMMS=?")).lines, "+CMMS")
    if keep_open and 2 in answers.numbers(keep_open[0]):
        await session.ask("AT+CMMS=2")  # parts in a row share one link to the network
    networks = [name for name in NETWORKS if (await session.ask(f"AT{name}=1")).ok]
    await session.ask("AT+COPS=3,0")
    return Abilities(
        model=model,
        revision=revision,
        imei=imei,
        storages=storages,
        receives_into=receives_into,
        indications=indications,
        reports=int(indications.split(",")[3]) if indications else 0,
        networks=tuple(networks),
    )


IDENTITY = ("CGMM", "CGMR", "CGSN")


async def unlock(session: Session, pin: str, memory: PinMemory) -> None:
    """Enter the PIN if one is asked for: once, ever, until it is changed or was right."""
    reply = await session.ask("AT+CPIN?", session.slow_s)
    state = answers.pin_state(reply.lines)
    if not reply.ok or not state:
        seen = SIM_WORDS.get(reply.code, "the SIM is not ready")
        raise SimMissing(f"{seen} (AT+CPIN? answers {reply.result} {reply.code})")
    if state == "READY":
        return
    if state != "SIM PIN":
        raise DriverConfigError(f"the SIM asks for {state}", fix="unlock it in a telephone, then try again")
    if not pin:
        raise DriverConfigError(
            "the SIM asks for its PIN",
            fix="set pin in the modem's section of the configuration, or switch the PIN off in a telephone",
        )
    if await memory.pin_spent():
        raise DriverConfigError(
            "the SIM has refused this PIN and is not asked again, for the third time blocks it",
            fix="set the right pin",
        )
    await memory.spend_pin()
    if not (await session.ask(f'AT+CPIN="{pin}"', session.slow_s)).ok:
        raise DriverConfigError("the SIM refuses this PIN", fix="set the right pin; it was tried once")
    await memory.pin_accepted()


def choose_indications(offered: Sequence[frozenset[int]]) -> str:
    """``<mode>,<mt>,<bm>,<ds>,<bfr>`` of TS 27.005 clause 3.4.1, or empty where new messages are not told.

    Messages are stored and told (mt 1), never handed over: what is not on disk yet stays on the SIM. Reports
    likewise where the modem can (ds 2), else handed over (ds 1).
    """
    if len(offered) < 5 or 1 not in offered[1]:
        return ""
    mode = next((mode for mode in (2, 1, 3) if mode in offered[0]), 0)
    reports = next((ds for ds in (2, 1) if ds in offered[3]), 0)
    buffer = 0 if 0 in offered[4] else 1
    return f"{mode},1,0,{reports},{buffer}"


async def _choose_storages(session: Session) -> tuple[tuple[str, ...], str]:
    """Sweep the SIM and the modem's own memory; receive into the larger one."""
    offered = answers.storages_offered((await session.ask("AT+CPMS=?")).lines)
    readable = [name for name in ("SM", "ME") if offered and name in offered[0]] or ["SM"]
    receiving = offered[2] if len(offered) > 2 else readable
    best, size = "", -1
    for name in readable:
        reply = await session.ask(f'AT+CPMS="{name}"', session.slow_s)
        if reply.result == "CMS" and reply.code in SIM_BUSY + SIM_MISSING:
            raise SimMissing(f"AT+CPMS answers {reply.code}")
        fill = answers.storage_fill(reply.lines)
        if fill is not None and name in receiving and fill.total > size:
            best, size = name, fill.total
    best = best or readable[0]
    await _insist(session, f'AT+CPMS="{best}","{best}","{best}"')
    return tuple(readable), best


async def _insist(session: Session, command: str) -> Reply:
    reply = await session.ask(command, session.slow_s)
    if not reply.ok:
        raise SimMissing(f"{command} answers {reply.result} {reply.code}")
    return reply
