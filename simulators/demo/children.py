"""Processes of ours: their output goes to a file, lines of JSON to whoever waits for one, and all end."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

START_S = 60.0
"""A process that has not said what was waited for by then has failed; on a busy machine they take long."""

STOP_S = 8.0
"""After SIGTERM; then it is killed."""

MAX_LINE = 1 << 20
MAX_KEPT = 1000
"""Lines of JSON that are remembered; what is waited for comes among the first."""

Line = dict[str, Any]


class Failed(Exception):
    """The demo cannot go on; says what was seen and where the log is."""


class Child:
    """One running process and what it has said."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self.lines: list[Line] = []
        self._process = process
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read(), name=f"{name}-output")

    async def said(self, **fields: object) -> Line:
        """The first line of JSON with these members (None: any value); raises `Failed` when none comes."""
        try:
            async with asyncio.timeout(START_S), self._news:
                while (line := self._find(fields)) is None:
                    if self._reading.done():
                        raise Failed(f"{self.name} ended with code {self._process.returncode}")
                    await self._news.wait()
                return line
        except TimeoutError:
            raise Failed(f"{self.name} did not say {fields} within {START_S:.0f} s") from None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ended(self) -> None:
        """Returns when the process is gone."""
        await self._process.wait()
        await asyncio.wait([self._reading])

    async def kill(self) -> None:
        """SIGKILL, as the out-of-memory killer does it."""
        self._process.kill()
        await self.ended()

    async def stop(self) -> int:
        """SIGTERM, then SIGKILL; its exit code."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_S)
            except TimeoutError:
                self._process.kill()
        code = await self._process.wait()
        await asyncio.wait([self._reading])
        return code

    def _find(self, fields: dict[str, object]) -> Line | None:
        for line in self.lines:
            if all(name in line and value in (None, line[name]) for name, value in fields.items()):
                return line
        return None

    async def _read(self) -> None:
        if self._process.stdout is None:
            raise TypeError("a pipe expected")
        with self.log.open("ab") as log:
            async for raw in self._process.stdout:
                log.write(raw)
                log.flush()
                await self._take(raw)
        async with self._news:
            self._news.notify_all()

    async def _take(self, raw: bytes) -> None:
        try:
            line = json.loads(raw)
        except ValueError:
            return  # words for people; they are in the log
        if isinstance(line, dict) and len(self.lines) < MAX_KEPT:
            async with self._news:
                self.lines.append(line)
                self._news.notify_all()


@asynccontextmanager
async def child(name: str, arguments: Sequence[str], folder: Path) -> AsyncIterator[Child]:
    """``python -m …`` while the block runs, in a session of its own: Ctrl-C reaches it through us only."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=MAX_LINE,
        start_new_session=True,
    )
    running = Child(name, process, folder / f"{name}.log")
    try:
        yield running
    finally:
        # A second Ctrl-C must not leave it behind.
        await asyncio.shield(running.stop())


async def command(name: str, arguments: Sequence[str], folder: Path) -> None:
    """``python -m …`` to its end; raises `Failed` with what it printed where that is not 0."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), START_S)
    except BaseException:
        if process.returncode is None:
            process.kill()
        raise
    (folder / f"{name}.log").write_bytes(out)
    if process.returncode != 0:
        raise Failed(f"{' '.join(arguments[:2])} ended with {process.returncode}: {out.decode().strip()}")
