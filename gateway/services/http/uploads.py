"""``/v1``: uploads by phones on the local network, receipts, and who the gateway is."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Protocol

from gateway.core.answer import Answer
from gateway.core.message.downlink import encode_downlink
from gateway.core.refusal import Refusal, Refused
from gateway.model import Source
from gateway.services.http.connection import Request
from gateway.services.http.message import BodyTooLarge, Response
from gateway.services.http.server import Respond

RADIO = "http"
LINGER_S = 0.002
JSON, CBOR = "application/json", "application/cbor"

BODIES_AT_ONCE = 4
"""Bodies of the largest size that may be held at a time; a small one takes only its own size of that room."""
BUSY_RETRY_S = 5


class Reception(Protocol):
    """What the routes ask of the daemon."""

    @property
    def max_bytes(self) -> int: ...
    def arrived(self, source: Source, size: int) -> None: ...
    def brought(self, source: Source, size: int) -> None: ...
    def refuse(self, source: Source, refused: Refused) -> Answer: ...
    async def message(self, source: Source, data: bytes) -> Answer: ...
    async def snapshot(self, source: Source, body: bytes) -> Answer: ...
    async def transactions(self, source: Source, body: bytes) -> Answer: ...
    async def receipt(self, content: bytes) -> Answer: ...
    async def beacon(self) -> Answer: ...


Take = Callable[[Source, bytes], Awaitable[Answer]]


def uploads(reception: Reception) -> Mapping[tuple[str, str], Respond]:
    """Routes that hand in and ask for receipts."""
    sources = _Sources()
    room = _Room(reception, sources)

    async def snapshots(request: Request) -> Response:
        return await room.upload(request, reception.snapshot)

    async def transactions(request: Request) -> Response:
        return await room.upload(request, reception.transactions)

    async def receipt(request: Request) -> Response:
        content = _hash(request.last_segment)
        source = sources.of(request)
        try:
            reception.arrived(source, 0)
            if content is None:
                raise Refused(Refusal.MALFORMED, "64 hexadecimal characters expected")
        except Refused as refused:
            return _response(request, source, reception.refuse(source, refused))
        return _response(request, source, await reception.receipt(content))

    async def beacon(request: Request) -> Response:
        source = sources.of(request)
        try:
            reception.arrived(source, 0)
        except Refused as refused:
            return _response(request, source, reception.refuse(source, refused))
        return _response(request, source, await reception.beacon())

    return {
        ("POST", "/v1/snapshots"): snapshots,
        ("POST", "/v1/transactions"): transactions,
        ("GET", "/v1/receipts/*"): receipt,
        ("GET", "/v1/beacon"): beacon,
    }


class _Sources:
    """Names each request; a random number for each would cost a system call, a fifth of the answer."""

    def __init__(self) -> None:
        self._boot = secrets.token_hex(4)
        self._numbers = count(1)

    def of(self, request: Request) -> Source:
        correlation_id = f"{self._boot}-{next(self._numbers)}"
        return Source(radio=RADIO, peer=request.peer, correlation_id=correlation_id, linger_s=LINGER_S)


class _Room:
    """Bounds the bytes of all bodies that are being read or judged; one in chunks may become the largest."""

    def __init__(self, reception: Reception, sources: _Sources) -> None:
        self._reception = reception
        self._sources = sources
        self._taken = 0

    async def upload(self, request: Request, take_json: Take) -> Response:
        source = self._sources.of(request)
        try:
            size = self._admit(request, source)
        except Refused as refused:
            return _response(request, source, self._reception.refuse(source, refused))
        self._taken += size
        try:
            body = await request.body(size)
            take = self._reception.message if request.content_type == CBOR else take_json
            return _response(request, source, await take(source, body))
        except BodyTooLarge as error:
            too_large = Refused(Refusal.TOO_LARGE, str(error))
            return _response(request, source, self._reception.refuse(source, too_large))
        finally:
            self._taken -= size
            if request.length is None:
                self._reception.brought(source, request.received)

    def _admit(self, request: Request, source: Source) -> int:
        """How many bytes of body may be read now. Raises Refused before a byte of it is."""
        size, largest = request.length, self._reception.max_bytes
        if request.content_type not in (JSON, CBOR):
            raise Refused(Refusal.UNSUPPORTED, f"{JSON} or {CBOR} expected")
        if size is not None and size > largest:
            raise Refused(Refusal.TOO_LARGE, f"{size} bytes announced, {largest} allowed")
        self._reception.arrived(source, size or 0)
        size = largest if size is None else size
        if self._taken + size > BODIES_AT_ONCE * largest:
            raise Refused(Refusal.BUSY, "too many uploads at once", retry_after_s=BUSY_RETRY_S)
        return size


def _hash(text: str) -> bytes | None:
    try:
        content = bytes.fromhex(text)
    except ValueError:
        return None
    return content if len(content) == 32 and len(text) == 64 else None


def _response(request: Request, source: Source, answer: Answer) -> Response:
    fields = {"X-Correlation-Id": source.correlation_id}
    if answer.retry_after_s:
        fields["Retry-After"] = str(answer.retry_after_s)
    if CBOR in (request.content_type, request.fields.get("accept")):
        return Response(encode_downlink(answer.message), CBOR, answer.http_status, fields)
    return Response.of_json(answer.to_json(), answer.http_status, fields)
