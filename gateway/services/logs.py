"""Log lines for journald: one line an event, JSON or text, on standard error.

Fields come from ``extra=``; ``correlation`` is the one that follows a message from its radio to the ack.
Nothing that a stranger sent can start a line of its own or reach the terminal as a control character.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, TextIO

MAX_FIELD = 2048
"""Characters of one field; a stranger's text or a traceback must not fill the journal."""

SECRET = frozenset(
    {"authorization", "passphrase", "password", "pin", "private_key", "secret", "seed", "token"}
)
"""Fields of these names are never printed, whoever logs them."""

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

# These tell of every connection, request or packet; our own lines say it once, with our fields.
_TALKATIVE = ("aiohttp", "asyncio", "bumble", "websockets")


def configure(level: str, style: Literal["json", "text"], stream: TextIO | None = None) -> None:
    """Send every log line of the process to ``stream`` (standard error). Called once, before any service."""
    out = logging.StreamHandler(stream or sys.stderr)
    out.setFormatter(JsonLines() if style == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [out]
    set_level(level)


def set_level(level: str) -> None:
    """``debug``, ``info``, ``warning`` or ``error`` from now on."""
    chosen = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger().setLevel(chosen)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(chosen, logging.WARNING))


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC, milliseconds), level, logger, message, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:MAX_FIELD],
        }
        for name, value in _fields(record):
            line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)[-MAX_FIELD:]
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """For a person's terminal: ``time LEVEL message  name=value …``, a traceback under it."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f"  {name}={_printable(str(value))}" for name, value in _fields(record))
        line = f"{_time(record)} {record.levelname:<7} {_printable(record.getMessage())}{fields}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)[-MAX_FIELD:]
        return line


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    for name, value in vars(record).items():
        if name in _OWN:
            continue
        yield name, "[withheld]" if name in SECRET else _plain(value)


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        return value.hex()[:MAX_FIELD]
    return str(value)[:MAX_FIELD]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:MAX_FIELD])
