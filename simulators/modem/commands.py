"""The commands a modem understands (3GPP TS 27.005, TS 27.007, V.250), as a table of functions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

from simulators.modem.modem import READ, UNREAD, Modem
from simulators.modem.sms import without_smsc

WORDS = {3: "operation not allowed", 10: "SIM not inserted", 11: "SIM PIN required", 12: "SIM PUK required"}


class AtError(Exception):
    """Ends a command: ``ERROR``, or ``+CME ERROR``/``+CMS ERROR`` with a code."""

    def __init__(self, kind: str = "", code: int = 0) -> None:
        super().__init__(f"{kind} {code}")
        self.kind, self.code = kind, code

    def line(self, cmee: int) -> str:
        if self.kind == "CMS":
            return f"+CMS ERROR: {self.code}"
        if not self.kind or cmee == 0:
            return "ERROR"
        return f"+CME ERROR: {self.code if cmee == 1 else WORDS.get(self.code, 'unknown')}"


@dataclass(frozen=True, slots=True)
class Prompt:
    """Ask for a PDU of this length, to send it or to store it."""

    length: int
    stored: bool = False


Answer = list[str] | Prompt
_Command = Callable[[Modem, str, list[str]], Answer]
_COMMANDS: dict[str, _Command] = {}
_FREE = (
    "+CPIN",
    "+CFUN",
    "+CGMM",
    "+CGMI",
    "+CGMR",
    "+CGSN",
    "+CMEE",
    "+CSCS",
    "+CSQ",
    "+CBC",
    "+CREG",
    "+CGREG",
)


def run(modem: Modem, text: str) -> Answer:
    """One command without its ``AT``. Raises :class:`AtError`."""
    match = re.fullmatch(r"(\+[A-Z]+|&?[A-Z]\d*|\^[A-Z]+|\$[A-Z]+|)(=\?|\?|=.*|)", text, re.I)
    if match is None:
        raise AtError
    name, action = match[1].upper(), match[2]
    if not name.startswith("+"):
        return _basic(modem, name)
    command = _COMMANDS.get(name)
    if command is None:
        raise AtError
    state = modem.pin_state
    if state != "READY" and name not in (*_FREE, "+CEREG"):
        if name.startswith(("+CM", "+CN", "+CPMS", "+CSCA")):
            raise AtError("CMS", {"": 310, "SIM PIN": 311}.get(state, 316))
        raise AtError("CME", {"": 10, "SIM PIN": 11}.get(state, 12))
    if action.startswith("=") and action != "=?":
        return command(modem, "=", _arguments(action[1:]))
    return command(modem, action, [])


def _basic(modem: Modem, name: str) -> Answer:
    if name in ("E0", "E1", "E"):
        modem.settings.echo = name == "E1"
    elif name in ("I", "I0"):
        return [modem.profile.maker, modem.profile.model, modem.profile.revision]
    elif name not in ("", "Z", "Z0", "&F", "&F0", "&W", "V1", "Q0", "S0", "H", "H0"):
        raise AtError
    return []


def _arguments(text: str) -> list[str]:
    return [piece.strip().strip('"') for piece in re.findall(r'"[^"]*"|[^,]+|(?<=,)(?=,|$)|^(?=,)', text)]


def _number(arguments: list[str], at: int, default: int | None = None) -> int:
    try:
        return int(arguments[at])
    except (IndexError, ValueError):
        if default is None:
            raise AtError from None
        return default


def command(name: str) -> Callable[[_Command], _Command]:
    def enter(function: _Command) -> _Command:
        _COMMANDS[name] = function
        return function

    return enter


# -- who it is


def _says(name: str, what: Callable[[Modem], str]) -> None:
    _COMMANDS[name] = lambda modem, action, _: [] if action == "=?" else [what(modem)]


_says("+CGMI", lambda modem: modem.profile.maker)
_says("+CGMM", lambda modem: modem.profile.model)
_says("+CGMR", lambda modem: modem.profile.revision)
_says("+CGSN", lambda modem: modem.profile.imei)
_says("+CIMI", lambda modem: modem.sim.imsi if modem.sim else "")
_says("+CCID", lambda modem: modem.sim.iccid if modem.sim else "")
_says("+CBC", lambda modem: f"+CBC: {modem.profile.battery}")
_says("+CSQ", lambda modem: f"+CSQ: {modem.signal if modem.functionality == 1 else 99},0")
_says("+CNUM", lambda modem: f'+CNUM: "","{modem.sim.number if modem.sim else ""}",145')
for _ignored in ("+CUSD", "+CLIP", "+CRC", "+CCWA", "+CNMA", "+COLP"):
    _COMMANDS[_ignored] = lambda modem, action, arguments: []


@command("+CMEE")
def _cmee(modem: Modem, action: str, arguments: list[str]) -> Answer:
    if action == "=":
        modem.settings.cmee = _number(arguments, 0)
        return []
    return [f"+CMEE: {modem.settings.cmee}" if action == "?" else "+CMEE: (0-2)"]


@command("+CSCS")
def _cscs(modem: Modem, action: str, arguments: list[str]) -> Answer:
    if action == "=?":
        return [f"+CSCS: {modem.profile.charsets}"]
    if action == "?":
        return [f'+CSCS: "{modem.settings.charset}"']
    if f'"{arguments[0]}"' not in modem.profile.charsets:
        raise AtError("CME", 3)
    modem.settings.charset = arguments[0]
    return []


@command("+CFUN")
def _cfun(modem: Modem, action: str, arguments: list[str]) -> Answer:
    if action != "=":
        return [f"+CFUN: {modem.functionality}" if action == "?" else "+CFUN: (0,1,4),(0,1)"]
    if _number(arguments, 1, 0) == 1:
        asyncio.get_running_loop().call_soon(modem.restart)
        return []
    modem.functionality = _number(arguments, 0)
    modem.register(modem.registration)
    return []


@command("+CPIN")
def _cpin(modem: Modem, action: str, arguments: list[str]) -> Answer:
    if modem.sim is None:
        raise AtError("CME", 10)
    if action == "?":
        return [f"+CPIN: {modem.pin_state}"]
    if action == "=" and not modem.enter_pin(arguments[0]):
        raise AtError("CME", 16 if modem.sim.attempts_left else 12)
    return []


# -- network


def _registration(name: str) -> None:
    def answer(modem: Modem, action: str, arguments: list[str]) -> Answer:
        if name == "+CEREG" and not modem.profile.cereg:
            raise AtError
        modes = modem.settings.registration_urc
        if action == "=?":
            return [f"{name}: (0-2)"]
        if action == "=":
            modes[name] = _number(arguments, 0)
            return []
        stat = modem.registration_of(name) if modem.pin_state == "READY" and modem.functionality == 1 else 0
        place = ',"1A2B","00C3D4"' if modes.get(name) == 2 and stat in (1, 5) else ""
        return [f"{name}: {modes.get(name, 0)},{stat}{place}"]

    _COMMANDS[name] = answer


for _name in ("+CREG", "+CGREG", "+CEREG"):
    _registration(_name)


@command("+CGATT")
def _cgatt(modem: Modem, action: str, arguments: list[str]) -> Answer:
    return [f"+CGATT: {int(modem.in_service)}"] if action == "?" else []


@command("+COPS")
def _cops(modem: Modem, action: str, arguments: list[str]) -> Answer:
    if action == "?":
        if not modem.in_service:
            return ["+COPS: 0"]
        form = modem.settings.operator_format
        return [f'+COPS: 0,{form},"{modem.operator[0 if form < 2 else 1]}"']
    if action == "=" and _number(arguments, 0) == 3:
        modem.settings.operator_format = _number(arguments, 1, 0)
    return []


# -- messages


@command("+CSCA")
def _csca(modem: Modem, action: str, arguments: list[str]) -> Answer:
    return [f'+CSCA: "{modem.network.smsc}",145'] if action == "?" else []


@command("+CSMS")
def _csms(modem: Modem, action: str, arguments: list[str]) -> Answer:
    if action == "=":
        modem.settings.csms = _number(arguments, 0)
        return ["+CSMS: 1,1,1"]
    return [f"+CSMS: {modem.settings.csms},1,1,1"]


@command("+CMGF")
def _cmgf(modem: Modem, action: str, arguments: list[str]) -> Answer:
    if action == "=":
        if _number(arguments, 0) != 0:
            raise AtError("CMS", 303)  # text mode is not simulated
        modem.settings.pdu_mode = True
        return []
    return [f"+CMGF: {int(not modem.settings.pdu_mode)}" if action == "?" else "+CMGF: (0,1)"]


@command("+CMMS")
def _cmms(modem: Modem, action: str, arguments: list[str]) -> Answer:
    if action == "=":
        modem.settings.cmms = _number(arguments, 0)
        return []
    return [f"+CMMS: {modem.settings.cmms}" if action == "?" else "+CMMS: (0-2)"]


@command("+CNMI")
def _cnmi(modem: Modem, action: str, arguments: list[str]) -> Answer:
    if action == "=?":
        return [f"+CNMI: {modem.profile.cnmi}"]
    if action == "?":
        return ["+CNMI: " + ",".join(map(str, modem.settings.cnmi))]
    allowed = [_numbers(group) for group in re.findall(r"\(([^)]*)\)", modem.profile.cnmi)]
    chosen = [_number(arguments, at, old) for at, old in enumerate(modem.settings.cnmi)]
    if any(value not in group for value, group in zip(chosen, allowed, strict=True)):
        raise AtError("CMS", 303)
    modem.settings.cnmi = tuple(chosen)
    return []


def _numbers(group: str) -> set[int]:
    values: set[int] = set()
    for piece in group.split(","):
        low, _, high = piece.partition("-")
        values |= set(range(int(low), int(high or low) + 1))
    return values


@command("+CPMS")
def _cpms(modem: Modem, action: str, arguments: list[str]) -> Answer:
    names = ",".join(f'"{name}"' for name in modem.profile.storages)
    if action == "=?":
        return [f"+CPMS: ({names}),({names}),({names})"]
    chosen = modem.settings.storages
    if action == "=":
        if not 1 <= len(arguments) <= 3 or any(name not in modem.profile.storages for name in arguments):
            raise AtError("CMS", 302)
        chosen[: len(arguments)] = arguments
    fill = [f"{len(modem.memory(name))},{modem.size(name)}" for name in chosen]
    if action == "?":
        return ["+CPMS: " + ",".join(f'"{name}",{used}' for name, used in zip(chosen, fill, strict=True))]
    return ["+CPMS: " + ",".join(fill)]


@command("+CMGL")
def _cmgl(modem: Modem, action: str, arguments: list[str]) -> Answer:
    if action == "=?":
        return ["+CMGL: (0-4)"]
    wanted = _number(arguments, 0, 0)
    name = modem.settings.storages[0]
    lines = []
    for index, (kind, pdu) in sorted(modem.memory(name).items()):
        if wanted in (4, kind):
            lines.append(f"+CMGL: {index},{kind},,{len(without_smsc(pdu))}\r\n{pdu.hex().upper()}")
            _seen(modem, name, index, kind)
    return lines


@command("+CMGR")
def _cmgr(modem: Modem, action: str, arguments: list[str]) -> Answer:
    name, index = modem.settings.storages[0], _number(arguments, 0)
    if not 1 <= index <= modem.size(name):
        raise AtError("CMS", 321)
    if index not in modem.memory(name):
        if modem.profile.name == "EC25":
            return []  # an empty slot is no error
        raise AtError("CMS", 321)
    kind, pdu = modem.memory(name)[index]
    _seen(modem, name, index, kind)
    return [f"+CMGR: {kind},,{len(without_smsc(pdu))}\r\n{pdu.hex().upper()}"]


def _seen(modem: Modem, name: str, index: int, kind: int) -> None:
    if kind == UNREAD:
        modem.mark(name, index, READ)


@command("+CMGD")
def _cmgd(modem: Modem, action: str, arguments: list[str]) -> Answer:
    if action == "=?":
        return ["+CMGD: (" + ",".join(map(str, modem.memory(modem.settings.storages[0]))) + "),(0-4)"]
    if modem.faults.use("delete_fails"):
        raise AtError("CMS", 500)
    name = modem.settings.storages[0]
    if _number(arguments, 1, 0):
        for index in list(modem.memory(name)):
            modem.delete(name, index)
        return []
    index = _number(arguments, 0)
    if not 1 <= index <= modem.size(name):
        raise AtError("CMS", 321)
    modem.delete(name, index)
    return []


@command("+CMGS")
def _cmgs(modem: Modem, action: str, arguments: list[str]) -> Answer:
    if action == "=?":
        return []
    if not modem.in_service:
        raise AtError("CMS", modem.profile.unregistered_error)
    length = _number(arguments, 0)
    if not 8 <= length <= 164:
        raise AtError("CMS", 304)
    return Prompt(length)


@command("+CMGW")
def _cmgw(modem: Modem, action: str, arguments: list[str]) -> Answer:
    return Prompt(_number(arguments, 0), stored=True) if action == "=" else []
