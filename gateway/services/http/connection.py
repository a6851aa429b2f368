"""One HTTP/1.1 connection (RFC 9112): h11 reads and writes it, this moves its bytes within bounds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

import h11

from gateway.services.http.message import BodyTooLarge, HttpError, Response

READ = 16 * 1024
MAX_HEAD = 16 * 1024
"""Bytes of a head, or of a chunk's head, that may be waited for; its last reading may bring READ more."""

MAX_CHUNKS = 16_384
"""Of one body. Each takes 5 µs whatever is in it: 8 MiB in chunks of a byte would hold the loop for 40 s."""

LINGER_S = 1.0
LINGER_BYTES = 1 << 20
"""How long, and how much of a body that nobody wants is read before a connection is closed: data left unread
makes the kernel reset it, and the answer is lost with that (RFC 9112 section 9.6)."""

_DETAIL_CHARS = 200  # h11 quotes the line that it does not like, up to MAX_HEAD of it


def _anything(size: int) -> None:
    """Lets a body grow."""


class Request:
    """One request; its body is read when somebody asks for it.

    ``path`` has no query; the names of ``fields`` are in lower case. ``length`` is that of the body as it was
    announced, None where it comes in chunks; ``received`` counts what was read of it.
    """

    def __init__(self, head: h11.Request, connection: Connection) -> None:
        self.method = head.method.decode()
        self.path = head.target.partition(b"?")[0].decode()
        self.fields = {name.decode(): value.decode("latin-1") for name, value in head.headers}
        self.peer = connection.peer
        self.received = 0
        self._connection = connection

    @property
    def length(self) -> int | None:
        if "transfer-encoding" in self.fields:
            return None
        return int(self.fields.get("content-length", "0"))  # without it there is no body: section 6.3

    @property
    def content_type(self) -> str:
        """The media type without its parameters."""
        return self.fields.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def last_segment(self) -> str:
        """What follows the last slash of the path."""
        return self.path.rpartition("/")[2]

    async def body(self, largest: int, grown: Callable[[int], None] = _anything) -> bytes:
        """All of it, at most ``largest`` bytes. Raises HttpError (BodyTooLarge) and ConnectionError.

        ``grown`` is told how many bytes there are, with each piece; what it raises ends the reading.
        """
        if (self.length or 0) > largest:
            raise BodyTooLarge(largest)
        body, chunks = bytearray(), 0
        async for data in self._connection.rest_of_body():
            chunks += data.chunk_start
            body += data.data
            self.received = len(body)
            if len(body) > largest:
                raise BodyTooLarge(largest)
            grown(len(body))
            if chunks > MAX_CHUNKS:
                raise HttpError(HTTPStatus.BAD_REQUEST, f"more than {MAX_CHUNKS} chunks")
        return bytes(body)


class Connection:
    """Requests and answers by turns; owned by the task that serves it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peername = writer.get_extra_info("peername")
        self.peer = str(peername[0]) if peername else ""
        self._reader = reader
        self._writer = writer
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._asks_for_head = False

    async def next_request(self) -> Request | None:
        """None when the peer closes. Raises HttpError for what is no request, then to be answered."""
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        self._asks_for_head = head.method == b"HEAD"
        request = Request(head, self)
        if request.length is None and ("content-length" in request.fields or head.http_version < b"1.1"):
            # Two readers could see two bodies (section 6.1); h11 would go by the chunks.
            raise HttpError(HTTPStatus.BAD_REQUEST, "chunks where a Content-Length would be believed")
        if request.length == 0:
            await self._next_event()  # the end of the message, which needs no more bytes
        return request

    async def rest_of_body(self) -> AsyncIterator[h11.Data]:
        """Pieces of the body as they come, none twice. Raises HttpError."""
        while self._h11.their_state is h11.SEND_BODY:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                yield event

    async def answer(self, response: Response) -> bool:
        """Send it; whether another request may follow. A body that was not read ends the connection."""
        is_unread = self._h11.their_state in (h11.SEND_BODY, h11.ERROR)
        self._writer.write(self._to_bytes(response, closes=is_unread))
        await self._writer.drain()
        if is_unread:
            await self._linger()
        if self._h11.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            return False
        self._h11.start_next_cycle()
        return True

    async def _next_event(self) -> object:
        """What h11 makes of the bytes so far, or as soon as there are enough of them. Raises HttpError."""
        try:
            while (event := self._h11.next_event()) is h11.NEED_DATA:
                if self._h11.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
                    self._writer.write(self._h11.send(go_on))
                self._h11.receive_data(await self._reader.read(READ))
        except h11.RemoteProtocolError as error:
            raise HttpError(HTTPStatus(error.error_status_hint), str(error)[:_DETAIL_CHARS]) from error
        return event

    def _to_bytes(self, response: Response, *, closes: bool) -> bytes:
        """There is no Date: this host may have no right one (RFC 9110 section 6.6.1)."""
        fields = {
            "Content-Type": response.content_type,
            "Content-Length": str(len(response.body)),
            "X-Content-Type-Options": "nosniff",
            **response.fields,
        }
        if closes:
            fields["Connection"] = "close"
        phrase = HTTPStatus(response.status).phrase
        head = h11.Response(status_code=response.status, headers=[*fields.items()], reason=phrase)
        body = b"" if self._asks_for_head else response.body
        events = (head, h11.Data(data=body), h11.EndOfMessage())
        return b"".join([self._h11.send(event) for event in events])

    async def _linger(self) -> None:
        left = LINGER_BYTES
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(LINGER_S):
                self._writer.write_eof()
                while left > 0 and (piece := await self._reader.read(READ)):
                    left -= len(piece)
