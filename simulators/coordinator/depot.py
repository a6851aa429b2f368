"""Bundles that come over links, a piece at a time: kept until they are whole, then taken."""

from __future__ import annotations

from io import BytesIO

from simulators.coordinator import bundles, wire
from simulators.coordinator.authority import Authority
from simulators.textbook.cbor import Malformed

MAX_UNFINISHED = 8
"""Bundles that are not whole; the one that grew least lately is forgotten."""
MAX_BYTES = 256 << 20


class Depot:
    """Used on the coordinator's working thread, whatever link a piece came by."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._unfinished = authority.unfinished

    def bring(self, piece: wire.Bring) -> list[object]:
        """The BROUGHT that answers it."""
        data = self._unfinished.setdefault(piece.content_id, bytearray())
        self._unfinished.move_to_end(piece.content_id)
        while len(self._unfinished) > MAX_UNFINISHED:
            self._unfinished.popitem(last=False)
        if piece.offset == len(data):
            data += piece.data
        try:
            ack = self._look(piece.content_id, data)
        except bundles.Refused as refused:
            del self._unfinished[piece.content_id]
            return [wire.BROUGHT, piece.content_id, 0, None, refused.code]
        if ack is not None:
            del self._unfinished[piece.content_id]
        return [wire.BROUGHT, piece.content_id, len(data), ack, None]

    def _look(self, content_id: bytes, data: bytearray) -> bytes | None:
        """The ack once it is whole, or as soon as its head shows that all of it is held."""
        if len(data) < 12 or len(data) < 12 + int.from_bytes(data[8:12], "big"):
            return None
        try:
            head = bundles.read_head(BytesIO(data))
        except Malformed as error:
            raise bundles.Refused("invalid", str(error)) from error
        if head.content_id != content_id or head.length > MAX_BYTES:
            raise bundles.Refused("invalid", "another bundle than was named, or too large")
        bundles.require_timely(self._authority, head)
        if len(data) < head.length:
            return bundles.acked_already(self._authority, head)
        return bundles.take(self._authority, BytesIO(data))
