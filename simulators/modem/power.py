"""A modem's power key behind a Unix socket, in the words of a simulated board's pins.

One message: kind (1 byte, ``G``), length (4, big-endian), body (line 2, level 1); so is the answer.
"""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from simulators.modem.modem import Modem

KEY_BYTES = 3


class PowerPin:
    """Listens on a path; letting go of the key after pressing it restarts the modem."""

    def __init__(self, modem: Modem, path: Path) -> None:
        self.path = path
        self.presses = 0
        self._modem = modem
        self._server: asyncio.Server | None = None
        self._held: set[asyncio.Task[None]] = set()  # one for each host that has the line

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            self.path.unlink(missing_ok=True)
        for held in self._held:
            held.cancel()
        await asyncio.gather(*self._held, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - what start_unix_server makes
        self._held.add(task)
        task.add_done_callback(self._held.discard)
        pressed = False
        try:
            while True:
                kind, size = struct.unpack(">cI", await reader.readexactly(5))
                if kind != b"G" or size != KEY_BYTES:
                    return
                high = bool((await reader.readexactly(size))[2])
                if pressed and not high:
                    self.presses += 1
                    self._modem.press_power()
                pressed = high
                writer.write(struct.pack(">cI", b"G", 0))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the host let go of the line
        finally:
            writer.close()
