"""Semtech UDP protocol v2: datagrams ↔ frozen values; no socket, no clock.

    byte  0      protocol version, 2
          1-2    token
          3      identifier
          4-11   EUI of the forwarder        PUSH_DATA, PULL_DATA and TX_ACK only
          rest   JSON                        PUSH_DATA, PULL_RESP; optional in TX_ACK

Source: PROTOCOL.TXT of Lora-net/packet_forwarder, sections 3 and 5; what the JSON says: ``packets``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from drivers.lora_gwmp.packets import GwmpError, RxPacket, Stat, TxPacket

VERSION = 2
MAX_DATAGRAM = 32 * 1024  # lora_pkt_fwd sends at most 8 packets in 4.6 kB, forwarders for SX1302 more
MAX_PACKETS = 64  # in one PUSH_DATA; what is above is counted and dropped

EUI_SIZE = 8
UP_HEADER = 4 + EUI_SIZE
DOWN_HEADER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PushData:
    """Heard packets and, now and then, the forwarder's figures (3.2).

    ``malformed`` counts elements that were no packet, ``excess`` those above :data:`MAX_PACKETS`: one bad
    element does not cost the others.
    """

    IDENTIFIER: ClassVar[int] = 0x00
    token: int
    eui: bytes
    packets: Sequence[RxPacket] = ()
    stat: Stat | None = None
    malformed: int = 0
    excess: int = 0

    @classmethod
    def from_bytes(cls, datagram: bytes) -> PushData:
        root = _json_object(datagram[UP_HEADER:])
        elements = root.get("rxpk", [])
        if not isinstance(elements, list):
            raise GwmpError("json", "rxpk is not an array")
        packets, malformed = _packets(elements[:MAX_PACKETS])
        stat, bad_stat = _stat(root.get("stat"))
        return cls(
            token=_token(datagram),
            eui=_eui(datagram),
            packets=packets,
            stat=stat,
            malformed=malformed + bad_stat,
            excess=max(0, len(elements) - MAX_PACKETS),
        )

    def to_bytes(self) -> bytes:
        body: dict[str, Any] = {}
        if self.packets:
            body["rxpk"] = [packet.to_json() for packet in self.packets]
        if self.stat is not None:
            body["stat"] = self.stat.to_json()
        return _header(self.token, self.IDENTIFIER) + self.eui + _dump(body)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushAck:
    """Acknowledges a PUSH_DATA at once, before it is looked at (3.3)."""

    IDENTIFIER: ClassVar[int] = 0x01
    token: int

    @classmethod
    def from_bytes(cls, datagram: bytes) -> PushAck:
        return cls(token=_token(datagram))

    def to_bytes(self) -> bytes:
        return _header(self.token, self.IDENTIFIER)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullData:
    """Keeps the way down open: downlinks go to where the newest of these came from (5.2)."""

    IDENTIFIER: ClassVar[int] = 0x02
    token: int
    eui: bytes

    @classmethod
    def from_bytes(cls, datagram: bytes) -> PullData:
        return cls(token=_token(datagram), eui=_eui(datagram))

    def to_bytes(self) -> bytes:
        return _header(self.token, self.IDENTIFIER) + self.eui


@dataclass(frozen=True, slots=True, kw_only=True)
class PullResp:
    """A packet to emit (5.4)."""

    IDENTIFIER: ClassVar[int] = 0x03
    token: int
    packet: TxPacket

    @classmethod
    def from_bytes(cls, datagram: bytes) -> PullResp:
        root = _json_object(datagram[DOWN_HEADER:])
        return cls(token=_token(datagram), packet=TxPacket.from_json(root.get("txpk")))

    def to_bytes(self) -> bytes:
        return _header(self.token, self.IDENTIFIER) + _dump({"txpk": self.packet.to_json()})


@dataclass(frozen=True, slots=True, kw_only=True)
class PullAck:
    """Confirms that the way down is open (5.3)."""

    IDENTIFIER: ClassVar[int] = 0x04
    token: int

    @classmethod
    def from_bytes(cls, datagram: bytes) -> PullAck:
        return cls(token=_token(datagram))

    def to_bytes(self) -> bytes:
        return _header(self.token, self.IDENTIFIER)


@dataclass(frozen=True, slots=True, kw_only=True)
class TxAck:
    """What became of a PULL_RESP (5.5). ``error`` is the forwarder's word; ``NONE``: it will be emitted."""

    IDENTIFIER: ClassVar[int] = 0x05
    token: int
    eui: bytes
    error: str = "NONE"

    @classmethod
    def from_bytes(cls, datagram: bytes) -> TxAck:
        return cls(token=_token(datagram), eui=_eui(datagram), error=_tx_error(datagram[UP_HEADER:]))

    def to_bytes(self) -> bytes:
        return _header(self.token, self.IDENTIFIER) + self.eui + _dump({"txpk_ack": {"error": self.error}})


Datagram = PushData | PushAck | PullData | PullResp | PullAck | TxAck

_KINDS: Mapping[int, type[Datagram]] = {
    kind.IDENTIFIER: kind for kind in (PushData, PushAck, PullData, PullResp, PullAck, TxAck)
}
_MIN_SIZE = {
    0x00: UP_HEADER,
    0x01: DOWN_HEADER,
    0x02: UP_HEADER,
    0x03: DOWN_HEADER,
    0x04: DOWN_HEADER,
    0x05: UP_HEADER,
}


def decode(datagram: bytes) -> Datagram:
    """Read one datagram. Raises :class:`GwmpError` (``size``, ``version``, ``identifier``, ``json`` …)."""
    if not DOWN_HEADER <= len(datagram) <= MAX_DATAGRAM:
        raise GwmpError("size", f"{len(datagram)} bytes")
    if datagram[0] != VERSION:
        raise GwmpError("version", f"{datagram[0]}, not {VERSION}")
    kind = _KINDS.get(datagram[3])
    if kind is None:
        raise GwmpError("identifier", f"0x{datagram[3]:02x}")
    if len(datagram) < _MIN_SIZE[kind.IDENTIFIER]:
        raise GwmpError("size", f"{len(datagram)} bytes")
    return kind.from_bytes(datagram)


def _header(token: int, identifier: int) -> bytes:
    return bytes((VERSION, token >> 8, token & 0xFF, identifier))


def _token(datagram: bytes) -> int:
    return int.from_bytes(datagram[1:3], "big")


def _eui(datagram: bytes) -> bytes:
    return datagram[4:UP_HEADER]


def _dump(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        root = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:  # ValueError covers bad UTF-8 and integers of 4,300 digits
        raise GwmpError("json", str(error)[:80]) from error
    if not isinstance(root, dict):
        raise GwmpError("json", "not an object")
    return root


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")  # RFC 8259 section 6 knows no NaN and no Infinity


def _packets(elements: Sequence[object]) -> tuple[list[RxPacket], int]:
    packets, malformed = [], 0
    for element in elements:
        try:
            packets.append(RxPacket.from_json(element))
        except GwmpError:  # counted, and the others stand
            malformed += 1
    return packets, malformed


def _stat(stat: object) -> tuple[Stat | None, int]:
    if stat is None:
        return None, 0
    try:
        return Stat.from_json(stat), 0
    except GwmpError:  # figures only; the packets beside them stand
        return None, 1


def _tx_error(body: bytes) -> str:
    """The word of a TX_ACK; forwarders end an empty one with nothing or with a NUL."""
    if not body.strip(b"\0"):
        return "NONE"
    status = _json_object(body).get("txpk_ack")
    if not isinstance(status, dict):
        raise GwmpError("json", "txpk_ack is not an object")
    error = status.get("error", "NONE")  # newer forwarders send "warn" instead where they lowered the power
    if not isinstance(error, str) or len(error) > 32:
        raise GwmpError("json", "error is not a word")
    return error
