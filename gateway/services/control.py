"""The control socket: a technician's commands to the running daemon, one JSON line each way.

    → {"command": "log.show", "arguments": {"index": 7}}
    ← {"ok": true, "result": …}     or     {"ok": false, "error": "what was seen, what to do"}

It is a Unix socket in the runtime directory, 0660: whoever may open it is of the daemon's own group.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

from gateway.errors import CommandError, FatalError, GatewayError, NeedsPerson

log = logging.getLogger(__name__)

MODE = 0o660
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: struct ucred

MAX_REQUEST = 64 * 1024
MAX_CONNECTIONS = 8
"""More are closed at once: technicians are few, and a script in a loop must not starve the daemon."""
REQUEST_S = 10.0
"""Seconds until the whole request must be there."""
LEAVE_S = 1.0
"""Seconds that a command which runs is given when the socket closes; the daemon has 4.5 to leave in all."""

Command = Callable[[Mapping[str, Any]], Awaitable[object]]


class Acts(Protocol):
    """Commands that change something, and are written down with who gave them."""

    @property
    def names(self) -> Collection[str]: ...
    async def perform(self, actor: str, name: str, arguments: Mapping[str, Any]) -> object: ...


async def serve(path: Path, commands: Mapping[str, Command], acts: Acts) -> None:
    """Answer at ``path`` until cancelled: ``commands``, which only tell, and ``acts``.

    Raises NeedsPerson where the socket cannot be made, and the FatalError that a command ended with.
    """
    server = _Server(commands, acts)
    listener = await asyncio.start_unix_server(server.connected, sock=_bound(path), limit=MAX_REQUEST)
    try:
        await server.broken
    finally:
        listener.close()
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - a directory in memory
        await server.drain()


class _Server:
    """All connections; ``broken`` has the FatalError that a command ended with."""

    def __init__(self, commands: Mapping[str, Command], acts: Acts) -> None:
        self._commands, self._acts = commands, acts
        self._working: dict[asyncio.Task[None], bool] = {}  # each connection's, and whether its command runs
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What asyncio runs, as a task, for each connection."""
        task = asyncio.current_task()
        if task is None or len(self._working) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._working[task] = False
        try:
            line = await _request(reader)
            self._working[task] = True
            await _reply(writer, await self._answer(line, _actor(writer)))
        except FatalError as error:
            if not self.broken.done():
                self.broken.set_exception(error)
        except (OSError, TimeoutError) as error:  # the other end left; that is its own affair
            log.debug("control connection lost", extra={"reason": str(error)})
        finally:
            del self._working[task]
            writer.close()

    async def _answer(self, line: bytes, actor: str) -> dict[str, object]:
        try:
            name, arguments = _parsed(line)
            return {"ok": True, "result": await self._run(actor, name, arguments)}
        except FatalError:
            raise
        except GatewayError as error:
            return {"ok": False, "error": str(error)}
        except Exception as error:  # a bug in one command: the daemon goes on, the technician is told
            log.exception("a command failed")
            return {"ok": False, "error": f"the gateway failed: {type(error).__name__}; its log says more"}

    async def _run(self, actor: str, name: str, arguments: Mapping[str, Any]) -> object:
        log.info("command", extra={"command": name})
        if (command := self._commands.get(name)) is not None:
            return await command(arguments)
        if name in self._acts.names:
            return await self._acts.perform(actor, name, arguments)
        known = sorted({*self._commands, *self._acts.names})
        raise CommandError(f"no command {name!r}; known: {', '.join(known)}")

    async def drain(self) -> None:
        """End those that have not asked yet; what is being answered gets its time."""
        for task, works in self._working.items():
            if not works:
                task.cancel()
        if self._working:
            _, late = await asyncio.wait(set(self._working), timeout=LEAVE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


def _bound(path: Path) -> socket.socket:
    """A listening address that is never there with wider rights than it keeps.

    What a crash left is replaced: the store's lock has already shown that no other daemon runs.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    fresh = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        sock.bind(str(fresh))
        fresh.chmod(MODE)
        fresh.rename(path)
    except OSError as error:
        sock.close()
        raise NeedsPerson(
            f"the control socket {path} cannot be made: {error.strerror or error}",
            "let the service user write runtime_dir, and keep its path under 100 characters",
        ) from error
    return sock


async def _request(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(REQUEST_S):
        try:
            return await reader.readline()
        except ValueError:  # longer than MAX_REQUEST
            return b""


async def _reply(writer: asyncio.StreamWriter, answer: Mapping[str, object]) -> None:
    writer.write(json.dumps(answer).encode() + b"\n")
    async with asyncio.timeout(REQUEST_S):
        await writer.drain()


def _actor(writer: asyncio.StreamWriter) -> str:
    """Who is at the other end, by the kernel's word: unix(7), SO_PEERCRED."""
    end: socket.socket = writer.get_extra_info("socket")
    credentials = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def _parsed(line: bytes) -> tuple[str, Mapping[str, Any]]:
    try:
        request = json.loads(line)
        name, arguments = request["command"], request.get("arguments", {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CommandError('a line of JSON expected: {"command": …, "arguments": {…}}') from None
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise CommandError("the command is a text, its arguments are an object")
    return name, arguments
