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
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.errors import CommandError, FatalError, GatewayError, NeedsPerson

log = logging.getLogger(__name__)

MODE = 0o660

MAX_REQUEST = 64 * 1024
MAX_CONNECTIONS = 8
"""More are closed at once: technicians are few, and a script in a loop must not starve the daemon."""
REQUEST_S = 10.0
"""Seconds until the whole request must be there."""

Command = Callable[[Mapping[str, Any]], Awaitable[object]]


async def serve(path: Path, commands: Mapping[str, Command]) -> None:
    """Answer at ``path`` until cancelled.

    Raises NeedsPerson where the socket cannot be made, and the FatalError that a command ended with.
    """
    open_connections = 0
    broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_connections
        try:
            open_connections += 1
            if open_connections <= MAX_CONNECTIONS:
                await _converse(reader, writer, commands)
        except FatalError as error:
            if not broken.done():
                broken.set_exception(error)
        except (OSError, TimeoutError) as error:  # the other end left; that is its own affair
            log.debug("control connection lost", extra={"reason": str(error)})
        finally:
            open_connections -= 1
            writer.close()

    server = await asyncio.start_unix_server(connected, sock=_bound(path), limit=MAX_REQUEST)
    try:
        async with server:
            await broken
    finally:
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - a directory in memory


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


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, commands: Mapping[str, Command]
) -> None:
    async with asyncio.timeout(REQUEST_S):
        try:
            line = await reader.readline()
        except ValueError:  # longer than MAX_REQUEST
            line = b""
    answer = await _answer(line, commands)
    writer.write(json.dumps(answer).encode() + b"\n")
    async with asyncio.timeout(REQUEST_S):
        await writer.drain()


async def _answer(line: bytes, commands: Mapping[str, Command]) -> dict[str, object]:
    try:
        name, arguments = _parsed(line)
        command = commands.get(name)
        if command is None:
            raise CommandError(f"no command {name!r}; known: {', '.join(sorted(commands))}")
        log.info("command", extra={"command": name})
        return {"ok": True, "result": await command(arguments)}
    except FatalError:
        raise
    except GatewayError as error:
        return {"ok": False, "error": str(error)}
    except Exception as error:  # a bug in one command: the daemon goes on, the technician is told
        log.exception("a command failed")
        return {"ok": False, "error": f"the gateway failed: {type(error).__name__}; its log says more"}


def _parsed(line: bytes) -> tuple[str, Mapping[str, Any]]:
    try:
        request = json.loads(line)
        name, arguments = request["command"], request.get("arguments", {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CommandError('a line of JSON expected: {"command": …, "arguments": {…}}') from None
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise CommandError("the command is a text, its arguments are an object")
    return name, arguments
