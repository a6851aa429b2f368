"""``/v1``: uploads by phones on the local network, receipts, and who the gateway is."""

from __future__ import annotations

import secrets
from collections import Counter
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
"""Bodies of the largest size that may be held at a time; others take their own size of that room."""
BODIES_OF_ONE_PEER = (BODIES_AT_ONCE + 1) // 2
"""Its share of the room: who sends slowly keeps others waiting for no more than that."""
SMALL_PART = 256
"""A body of this part of the largest size takes no room: all connections together bring one largest."""
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
    desk = _Desk(reception, sources)

    async def snapshots(request: Request) -> Response:
        return await desk.upload(request, reception.snapshot)

    async def transactions(request: Request) -> Response:
        return await desk.upload(request, reception.transactions)

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


class _Desk:
    """Takes bodies in as far as there is room."""

    def __init__(self, reception: Reception, sources: _Sources) -> None:
        self._reception = reception
        self._sources = sources
        self._room = _Room()

    async def upload(self, request: Request, take_json: Take) -> Response:
        source, largest = self._sources.of(request), self._reception.max_bytes
        place = _Place(self._room, source.peer, largest)
        try:
            self._admit(request, source, largest)
            place.grow(request.length or 0)  # one in chunks takes its room as it comes
        except Refused as refused:
            return _response(request, source, self._reception.refuse(source, refused))
        try:
            body = await request.body(largest, place.grow)
            take = self._reception.message if request.content_type == CBOR else take_json
            return _response(request, source, await take(source, body))
        except BodyTooLarge as error:
            too_large = Refused(Refusal.TOO_LARGE, str(error))
            return _response(request, source, self._reception.refuse(source, too_large))
        except Refused as refused:
            return _response(request, source, self._reception.refuse(source, refused))
        finally:
            place.leave()
            if request.length is None:
                self._reception.brought(source, request.received)

    def _admit(self, request: Request, source: Source, largest: int) -> None:
        """Raises Refused before a byte of the body is read."""
        size = request.length
        if request.content_type not in (JSON, CBOR):
            raise Refused(Refusal.UNSUPPORTED, f"{JSON} or {CBOR} expected")
        if size is not None and size > largest:
            raise Refused(Refusal.TOO_LARGE, f"{size} bytes announced, {largest} allowed")
        self._reception.arrived(source, size or 0)


class _Room:
    """Counts the bytes of all bodies that are being read or judged, but for the small ones."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()  # by peer; those that have nothing here are not in it

    def take(self, peer: str, size: int, largest: int) -> None:
        """Raises Refused where all of it, or the peer's share, is taken."""
        if self._taken[peer] + size > BODIES_OF_ONE_PEER * largest:
            raise Refused(Refusal.BUSY, "too many uploads at once from there", retry_after_s=BUSY_RETRY_S)
        if self._taken.total() + size > BODIES_AT_ONCE * largest:
            raise Refused(Refusal.BUSY, "too many uploads at once", retry_after_s=BUSY_RETRY_S)
        self._taken[peer] += size

    def give_back(self, peer: str, size: int) -> None:
        self._taken[peer] -= size
        if not self._taken[peer]:
            del self._taken[peer]


class _Place:
    """One body's part of the room."""

    def __init__(self, room: _Room, peer: str, largest: int) -> None:
        self._room, self._peer, self._largest = room, peer, largest
        self._taken = 0

    def grow(self, size: int) -> None:
        """It is, or will be, of so many bytes. Raises Refused."""
        if size > max(self._taken, self._largest // SMALL_PART):
            self._room.take(self._peer, size - self._taken, self._largest)
            self._taken = size

    def leave(self) -> None:
        """It is gone."""
        self._room.give_back(self._peer, self._taken)


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
        return Response(encode_downlink(answer.told), CBOR, answer.http_status, fields)
    return Response.of_json(answer.to_json(), answer.http_status, fields)
