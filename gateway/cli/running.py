"""Talks to the running daemon through its control socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config import control_socket_of
from gateway.errors import CommandError

TIMEOUT_S = 10.0
LONG_S = 3600.0
"""For commands that read the whole log."""
MAX_ANSWER = 16 << 20


def socket_at(config_path: Path, named: Path | None) -> Path:
    """Where the daemon is asked: as named, else by the configuration, which may be missing or unsound."""
    return control_socket_of(config_path) if named is None else named


class NotRunning(CommandError):
    """Nobody answers at the control socket."""


def ask(
    path: Path, command: str, arguments: Mapping[str, Any] | None = None, *, timeout_s: float = TIMEOUT_S
) -> Any:
    """The daemon's answer at its socket. Raises NotRunning, and CommandError with the daemon's own words."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            request = {"command": command, "arguments": arguments or {}}
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = _read_all(connection)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotRunning(
            f"the gateway does not run (nobody answers at {path}); start it (sudo systemctl start "
            "offgrid-gateway) or, if it does run, look in its log for this socket and its configuration"
        ) from None
    except PermissionError:
        raise CommandError(f"{path}: permission denied; become a member of its group, or use sudo") from None
    except TimeoutError:
        raise CommandError(f"the gateway did not answer within {timeout_s:.0f} s") from None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None
    return _result(answer)


def _read_all(connection: socket.socket) -> bytes:
    answer = bytearray()
    while len(answer) < MAX_ANSWER and (piece := connection.recv(1 << 16)):
        answer += piece
    return bytes(answer)


def _result(answer: bytes) -> Any:
    try:
        parsed = json.loads(answer)
        if parsed["ok"]:
            return parsed["result"]
        error = str(parsed["error"])
    except (ValueError, KeyError, TypeError):
        raise CommandError("the gateway went away before it had answered") from None
    raise CommandError(error)
