"""HTTP/1.1 (RFC 9112), the server's side: a request's head from bytes, strictly, and an answer to bytes.

What two readers could read in two ways is refused: no folded lines, no bare LF, no space before a colon, no
second Content-Length, and no Transfer-Encoding at all, so that nothing can hide behind a body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

MAX_HEAD = 16 * 1024
MAX_FIELDS = 64

END_OF_HEAD = b"\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - RFC 9110 section 5.6.2
_REQUEST_LINE = re.compile(rf"({_TOKEN}) (/[!-~]*) HTTP/1\.([01])", re.ASCII)
_FIELD = re.compile(rf"({_TOKEN}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)", re.ASCII)
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)


class HttpError(Exception):
    """This request is answered with ``status``, and the connection is closed."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body. ``path`` has no query; the names of ``fields`` are in lower case."""

    method: str
    path: str
    fields: Mapping[str, str]
    keeps_alive: bool

    @property
    def content_length(self) -> int:
        """Bytes of the body; without the field there is none (RFC 9112 section 6.3)."""
        return int(self.fields.get("content-length", "0"))

    @property
    def content_type(self) -> str:
        """The media type without its parameters."""
        return self.fields.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def expects_continue(self) -> bool:
        return self.fields.get("expect", "").lower() == "100-continue"


def parse_head(raw: bytes) -> Head:
    """A head up to and with its empty line. Raises HttpError."""
    if len(raw) > MAX_HEAD:
        raise HttpError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a head of more than {MAX_HEAD} bytes")
    first, *lines = raw.removesuffix(END_OF_HEAD).decode("latin-1").lstrip("\r\n").split("\r\n")
    request = _REQUEST_LINE.fullmatch(first)
    if request is None:
        raise _bad("no request line of HTTP/1.1 in origin form")
    method, target, minor = request.groups()
    fields = _fields(lines)
    if minor == "1" and "host" not in fields:
        raise _bad("no Host")
    if "transfer-encoding" in fields:
        raise HttpError(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is required")
    if not _LENGTH.fullmatch(fields.get("content-length", "0")):
        raise _bad("Content-Length is no number")
    return Head(method, target.partition("?")[0], fields, _keeps_alive(fields, minor))


def _fields(lines: list[str]) -> Mapping[str, str]:
    if len(lines) > MAX_FIELDS:
        raise HttpError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MAX_FIELDS} fields")
    fields: dict[str, str] = {}
    for line in lines:
        matched = _FIELD.fullmatch(line)
        if matched is None:
            raise _bad("a line that is no field")
        name, value = matched[1].lower(), matched[2].rstrip(" \t")
        if name in fields and name in ("content-length", "content-type", "host"):
            raise _bad(f"{name} stands twice")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _keeps_alive(fields: Mapping[str, str], minor: str) -> bool:
    options = {option.strip().lower() for option in fields.get("connection", "").split(",")}
    return "close" not in options and (minor == "1" or "keep-alive" in options)


def _bad(detail: str) -> HttpError:
    return HttpError(HTTPStatus.BAD_REQUEST, detail)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with its whole body."""

    body: bytes
    content_type: str
    status: int = 200
    fields: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, value: object, status: int = 200, fields: Mapping[str, str] | None = None) -> Response:
        return cls(json.dumps(value).encode(), "application/json", status, fields or {})

    @classmethod
    def of_text(cls, text: str, status: int = 200) -> Response:
        return cls(text.encode(), "text/plain; charset=utf-8", status)

    def to_bytes(self, *, keeps_alive: bool) -> bytes:
        """There is no Date: this host may have no right one (RFC 9110 section 6.6.1)."""
        fields = {
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            "Connection": "keep-alive" if keeps_alive else "close",
            "X-Content-Type-Options": "nosniff",
            **self.fields,
        }
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join(lines).encode("latin-1") + END_OF_HEAD + self.body
