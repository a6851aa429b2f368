"""What a promise signs: a leaf for each content, one root for a batch; docs/protocol/messages.md."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from gateway.core import cbor, merkle
from gateway.core.labels import Label, labelled
from gateway.core.submission import HeldPlace

_ORIGIN_HINT = 4


def promise_leaf(origin: str, place: HeldPlace, content: bytes) -> bytes:
    """SHA-256(0x00 ‖ CBOR [origin, index, received_at, quality, H])."""
    fields = [origin, place.index, place.received_at_ms, int(place.quality), content]
    return merkle.leaf_hash(cbor.encode(fields))


def promise_text(leaves: Iterable[bytes]) -> bytes:
    """What the gateway's key signs: the label, the version, and the RFC 6962 root over the leaves."""
    return labelled(Label.PROMISE, merkle.root_of(list(leaves)))


def origin_hint(origin: str) -> bytes:
    """First 4 bytes of SHA-256(origin), for frames too small for the text; a hint for look-up only."""
    return sha256(origin.encode()).digest()[:_ORIGIN_HINT]
