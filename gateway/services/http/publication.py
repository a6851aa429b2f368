"""``/v1/log``: what an auditor reads of the log: its newest checkpoints, and the hashes of its leaves."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import Protocol

from gateway.model import Head
from gateway.services.http.connection import Request
from gateway.services.http.message import HttpError, Response
from gateway.services.http.server import Respond

LEAVES = 8192
"""In one answer, 32 bytes each: a log of a million leaves is read by 123 requests."""


class Log(Protocol):
    """What is published of the store."""

    def head(self) -> Awaitable[Head]: ...
    def leaves(self, start: int, most: int) -> Awaitable[bytes]: ...


def publication(log: Log, public_key: bytes) -> Mapping[tuple[str, str], Respond]:
    """Routes for auditors; nothing here names a sender."""

    async def state(request: Request) -> Response:
        head = await log.head()
        return Response.of_json(
            {
                "origin": head.origin,
                "key": b64encode(public_key).decode(),
                "size": head.size,
                "signed": _text(head.signed_note),
                "cosigned": _text(head.cosigned_note),
            }
        )

    async def leaves(request: Request) -> Response:
        start = re.fullmatch(r"0|[1-9][0-9]{0,15}", request.last_segment)
        if start is None:
            raise HttpError(HTTPStatus.BAD_REQUEST, "the number of the first leaf expected")
        return Response(await log.leaves(int(start[0]), LEAVES), "application/octet-stream")

    return {("GET", "/v1/log"): state, ("GET", "/v1/log/leaves/*"): leaves}


def _text(note: bytes | None) -> str | None:
    return None if note is None else note.decode()
