"""One AT port's conversation: echo, lines, prompts, compound commands."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from simulators.modem.commands import AtError, Prompt, run
from simulators.modem.modem import UNSENT, Modem

CTRL_Z, ESC = 0x1A, 0x1B
MAX_LINE = 2048


class Dialogue:
    """Fed by a port, answers through ``write``."""

    def __init__(self, modem: Modem, write: Callable[[bytes], None]) -> None:
        self._modem = modem
        self._write = write
        self._line = bytearray()
        self._prompt: Prompt | None = None

    def feed(self, data: bytes) -> None:
        if not self._modem.running:
            return
        for octet in data:
            if self._modem.settings.echo and self._modem.faults.hang is None:
                self._write(b"\r" if octet == ESC else bytes((octet,)))
            self._take(octet)

    def say(self, line: str) -> None:
        """An unsolicited line; held back between a prompt and its payload by no modem."""
        self._write(f"\r\n{line}\r\n".encode())

    def forget(self) -> None:
        """The modem restarts."""
        self._line.clear()
        self._prompt = None

    def _take(self, octet: int) -> None:
        if self._prompt is not None:
            self._take_payload(octet)
        elif octet == ESC:
            self._line.clear()
        elif octet == 0x0D:
            line, self._line = self._line.decode("latin-1").strip(), bytearray()
            if line[:2].upper() == "AT":
                self._command(line)
        elif octet != 0x0A and len(self._line) < MAX_LINE:
            self._line.append(octet)

    def _command(self, line: str) -> None:
        faults = self._modem.faults
        if faults.resets(line):
            self._modem.restart(warning="UNDER-VOLTAGE POWER DOWN")
            return
        if faults.hang is not None:
            if faults.hang == "cfun" and line.upper().startswith("AT+CFUN=1,1"):
                self._modem.restart()
            return
        if faults.late_s:
            asyncio.get_running_loop().call_later(faults.late_s, self._execute, line)
        else:
            self._execute(line)

    def _execute(self, line: str) -> None:
        lines: list[str] = []
        try:
            for part in _compound(line[2:]):
                answer = run(self._modem, part)
                if isinstance(answer, Prompt):
                    self._ask(answer)
                    return
                lines += answer
        except AtError as error:
            self._answer(lines, error.line(self._modem.settings.cmee))
            return
        self._answer(lines, "OK")

    def _answer(self, lines: list[str], final: str) -> None:
        urc = self._modem.faults.urc_in_reply
        for number, line in enumerate(lines):
            self.say(line)
            if urc and number == 0:
                self.say(urc)
        self.say(final)

    def _ask(self, prompt: Prompt) -> None:
        faults = self._modem.faults
        if faults.use("no_prompt"):
            return
        self._prompt = prompt
        self._write(b"\r\n> ")
        if faults.urc_at_prompt:
            self.say(faults.urc_at_prompt)

    def _take_payload(self, octet: int) -> None:
        if octet == ESC:
            self._prompt = None
            self._line.clear()
            self.say("OK")
        elif octet == CTRL_Z and self._prompt is not None:
            prompt, self._prompt = self._prompt, None
            text, self._line = self._line.decode("latin-1").strip(), bytearray()
            self._send(prompt, text)
        elif octet not in (0x0D, 0x0A) and len(self._line) < MAX_LINE:
            self._line.append(octet)

    def _send(self, prompt: Prompt, text: str) -> None:
        modem, faults = self._modem, self._modem.faults
        if faults.resets("^Z"):
            modem.restart(warning="UNDER-VOLTAGE POWER DOWN")
            return
        if faults.hang is not None or faults.use("send_swallowed"):
            return
        try:
            pdu = bytes.fromhex(text)
            if prompt.stored:
                index = modem.store(modem.settings.storages[1], UNSENT, pdu)
                if index is None:
                    raise AtError("CMS", 322)
                self._answer([f"+CMGW: {index}"], "OK")
                return
            if modem.sim is None:
                raise AtError("CMS", 310)
            if not modem.in_service:
                raise AtError("CMS", modem.profile.unregistered_error)
            if faults.cms_error and faults.use("cms_errors"):
                raise AtError("CMS", faults.cms_error)
            reference = modem.submit(prompt.length, pdu)
        except ValueError:
            self.say("+CMS ERROR: 304")  # invalid PDU mode parameter
        except AtError as error:
            self.say(error.line(modem.settings.cmee))
        else:
            if not faults.use("send_unanswered"):
                self._answer([f"+CMGS: {reference}"], "OK")


def _compound(commands: str) -> list[str]:
    """``+CMEE=1;+CREG=2`` in its parts; a semicolon in quotes divides nothing."""
    return [part.strip() for part in re.findall(r'(?:"[^"]*"|[^;"])+', commands)] or [""]
