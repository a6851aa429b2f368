"""A modem's ports as pseudo-terminals, under the names udev would give them."""

from __future__ import annotations

import asyncio
import os
import tty
from pathlib import Path

from simulators.modem.dialogue import Dialogue
from simulators.modem.modem import Modem

MAX_UNREAD = 1 << 16  # nobody reads: the newest is lost, as in a driver's buffer
NMEA = b"$GPGGA,,,,,,0,,,,,,,,*66\r\n"


class Terminal:
    """One pseudo-terminal and a link to it; its far side is held open: a reader that closes is no hang-up."""

    def __init__(self, link: Path) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._unsent = bytearray()
        self._link = link
        self.device = os.ttyname(self._slave)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(self.device)

    def read_with(self, feed: Dialogue | None) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._master, self._readable, feed)

    def _readable(self, feed: Dialogue | None) -> None:
        try:
            data = os.read(self._master, 4096)
        except OSError:
            return  # closed this very moment
        if feed is not None:
            feed.feed(data)

    def write(self, data: bytes) -> None:
        if self._master < 0:
            return
        self._unsent += data[: MAX_UNREAD - len(self._unsent)]
        self._flush()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            sent = os.write(self._master, self._unsent)
        except BlockingIOError:
            sent = 0
        del self._unsent[:sent]
        if self._unsent:
            loop.add_writer(self._master, self._flush)
        else:
            loop.remove_writer(self._master)

    def close(self) -> None:
        """The device vanishes: whoever has it open reads a hang-up."""
        if self._master < 0:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._master)
        loop.remove_writer(self._master)
        os.close(self._slave)
        os.close(self._master)
        self._master = -1
        self._link.unlink(missing_ok=True)


class ModemPorts:
    """All ports of one modem in a directory: ``<name>-if02-port0`` for USB, ``<name>`` for a serial one.

    A USB modem's ports vanish as it restarts and come back, under new device names; ``rename`` has them come
    back under another serial number as well.
    """

    def __init__(self, modem: Modem, directory: Path, name: str = "") -> None:
        self.modem = modem
        self.name = name or modem.profile.usb_id or "serial0"
        self._directory = directory
        self._terminals: list[Terminal] = []
        self._dialogue: Dialogue | None = None
        modem.say = self._say
        modem.on_power = self._power

    @property
    def path(self) -> Path:
        """The AT port's link."""
        return self._path(self.modem.profile.interfaces.index("at"))

    async def __aenter__(self) -> ModemPorts:
        self._appear()
        self.modem.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.modem.close()
        self.vanish()

    def vanish(self) -> None:
        """Unplugged; the modem itself keeps its power."""
        for terminal in self._terminals:
            terminal.close()
        self._terminals.clear()
        self._dialogue = None

    def appear(self, name: str = "") -> None:
        """Plugged in again, under another name if one is given."""
        self.name = name or self.name
        self._appear()

    def _appear(self) -> None:
        for number, kind in enumerate(self.modem.profile.interfaces):
            terminal = Terminal(self._path(number))
            dialogue = None
            if kind == "at":
                dialogue = self._dialogue = Dialogue(self.modem, terminal.write)
            elif kind == "modem":
                dialogue = Dialogue(self.modem, terminal.write)
            elif kind == "nmea":
                terminal.write(NMEA)
            terminal.read_with(dialogue)
            self._terminals.append(terminal)

    def _path(self, number: int) -> Path:
        if not self.modem.profile.usb:
            return self._directory / self.name
        return self._directory / f"{self.name}-if{number:02d}-port0"

    def _say(self, line: str) -> None:
        if self._dialogue is not None and self.modem.faults.hang is None:
            self._dialogue.say(line)

    def _power(self, on: bool) -> None:
        if not self.modem.profile.usb:
            if self._dialogue is not None:
                self._dialogue.forget()
        elif on:
            self._appear()
        else:
            self.vanish()
