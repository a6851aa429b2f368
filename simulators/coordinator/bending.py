"""Answers as the faults want them: from what the session says to what goes out."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode

from nacl.signing import SigningKey

from simulators.coordinator import wire
from simulators.coordinator.authority import Authority
from simulators.textbook.cbor import encode

Array = list[object]
Outgoing = bytes | str | None
"""What is sent; None cuts the connection."""

_NONSENSE: Array = [wire.MISSING, 1 << 40, b"\xff"]


def bend(authority: Authority, gateway: str | None, array: Array) -> list[Outgoing]:
    """What goes out for one answer; without a fault, the answer."""
    take = authority.faults.take
    out: list[Outgoing] = []
    if take("mute", gateway):
        return out
    if take("garbage", gateway):
        out.append(os.urandom(200))
    if take("text", gateway):
        out.append("not a binary message")
    if take("oversize", gateway):
        out.append(bytes(wire.MAX_MESSAGE + 1))
    if array[0] == wire.ACK:
        if take("lose-ack", gateway):
            return [*out, None]
        if take("drop-ack", gateway):
            return out
        if take("missing-nonsense", gateway):
            out.append(encode(_NONSENSE))
    data = encode(_lie(authority, gateway, array))
    return [*out, data, data] if take("twice", gateway) else [*out, data]


def _lie(authority: Authority, gateway: str | None, array: Array) -> Array:
    take, array = authority.faults.take, list(array)
    match array[0]:
        case wire.CHALLENGE if take("wrong-key"):
            array[2] = bytes(SigningKey.generate().verify_key)
        case wire.WANT if take("want-unasked", gateway):
            array[2] = bytes(array[2] + b"\x01") if isinstance(array[2], bytes) else array[2]
        case wire.ACK if take("wrong-size", gateway):
            array[1] = array[1] + 1 if isinstance(array[1], int) else array[1]
        case wire.ACK if take("wrong-root", gateway) or take("wrong-cosignature", gateway):
            array[3] = os.urandom(64)
        case wire.REJECT if take("unsigned-reject", gateway):
            array[3] = None
        case wire.WELCOME | wire.CATCHUP if isinstance(array[2], bytes):
            array[2] = _bent_note(authority, gateway, array[2])
    return array


def _bent_note(authority: Authority, gateway: str | None, note: bytes) -> bytes:
    if authority.faults.take("wrong-root", gateway):
        origin, size, _, blank, own, *_ = note.decode().split("\n")
        lines = [origin, size, b64encode(os.urandom(32)).decode(), blank, own, ""]
        return authority.cosign("\n".join(lines).encode())
    if authority.faults.take("wrong-cosignature", gateway):
        head, _, last = note.decode().removesuffix("\n").rpartition(" ")
        raw = b64decode(last)
        return f"{head} {b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()}\n".encode()
    return note
