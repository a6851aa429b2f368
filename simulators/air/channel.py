"""The concentrator model's control socket: frames to its antenna, its emissions back."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from simulators.concentrator.air import Emission

ANSWER_S = 10.0  # a model that takes longer is gone


class ControlChannel:
    """Two connections: one asks and waits for the answer, the other hears of emissions as they end.

    Asking blocks the loop for the tenth of a millisecond it takes: what is asked is then in the model before
    time goes on.
    """

    def __init__(self, path: str | Path, emitted: Callable[[Emission], None]) -> None:
        """``path`` is the model's socket; its controls are at ``path.ctl``."""
        self._path = f"{path}.ctl"
        self._emitted = emitted
        self._asking: socket.socket | None = None
        self._lines: Any = None
        self._listening: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        self._asking = socket.socket(socket.AF_UNIX)
        self._asking.settimeout(ANSWER_S)
        self._asking.connect(self._path)
        self._lines = self._asking.makefile("r", encoding="utf-8")
        reader, self._writer = await asyncio.open_unix_connection(self._path)
        self._writer.write(b'{"op": "subscribe"}\n')
        await reader.readline()
        self._listening = asyncio.create_task(self._listen(reader), name="emissions")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        if self._writer is not None:
            self._writer.close()
        if self._asking is not None:
            self._lines.close()
            self._asking.close()

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """One operation and its answer. OSError when the model is gone, ValueError when it refuses."""
        if self._asking is None:
            raise ConnectionError("the channel is not open")
        self._asking.sendall(json.dumps({"op": op, **fields}).encode() + b"\n")
        line = self._lines.readline()
        if not line:
            raise ConnectionError("the concentrator model is gone")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            event = json.loads(line)
            if event.pop("event", None) == "tx":
                self._emitted(Emission(**{**event, "payload": bytes.fromhex(event["payload"])}))
