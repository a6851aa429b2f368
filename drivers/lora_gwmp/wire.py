"""Semtech UDP protocol v2: datagrams ↔ frozen values; no socket, no clock.

    byte  0      protocol version, 2
          1-2    token
          3      identifier
          4-11   EUI of the forwarder        PUSH_DATA, PULL_DATA and TX_ACK only
          rest   JSON                        PUSH_DATA, PULL_RESP; optional in TX_ACK

Source: PROTOCOL.TXT of Lora-net/packet_forwarder, sections 3 to 6. The protocol authenticates nobody, so
everything here is a claim: types, ranges and sizes are checked before a value is made of it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

VERSION = 2
MAX_DATAGRAM = 32 * 1024  # lora_pkt_fwd sends at most 8 packets in 4.6 kB, forwarders for SX1302 more
MAX_PACKETS = 64  # in one PUSH_DATA; what is above is counted and dropped
MAX_PAYLOAD = 255

EUI_SIZE = 8
UP_HEADER = 4 + EUI_SIZE
DOWN_HEADER = 4

DATA_RATE = re.compile(r"SF([5-9]|1[0-2])BW(125|250|500)", re.ASCII)
CODING_RATES = frozenset({"4/5", "4/6", "4/7", "4/8"})


class GwmpError(ValueError):
    """Not a datagram of this protocol. ``reason`` is one word, fit for a counter's label."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class RxPacket:
    """One heard packet, an element of ``rxpk`` (section 4). ``spreading_factor`` is 0 for FSK."""

    counter_us: int  # tmst: end of reception, 32 bits
    frequency_hz: int
    channel: int
    crc: int  # stat: 1 right, -1 wrong, 0 none sent
    spreading_factor: int
    bandwidth_hz: int
    coding_rate: str
    rssi_dbm: float
    snr_db: float
    payload: bytes

    @classmethod
    def from_json(cls, rxpk: object) -> RxPacket:
        """Raises :class:`GwmpError` for a field that is missing, of the wrong type or out of its range."""
        if not isinstance(rxpk, dict):
            raise GwmpError("rxpk", "not an object")
        spreading_factor, bandwidth_hz, coding_rate = _modulation(rxpk)
        payload = _payload(rxpk.get("data"))
        if _integer(rxpk, "size", 0, MAX_PAYLOAD, default=len(payload)) != len(payload):
            raise GwmpError("rxpk", "size is not the length of data")
        return cls(
            counter_us=_integer(rxpk, "tmst", 0, 0xFFFFFFFF),
            frequency_hz=round(_number(rxpk, "freq", 100.0, 3000.0) * 1e6),
            channel=_integer(rxpk, "chan", 0, 255, default=0),
            crc=_integer(rxpk, "stat", -1, 1, default=1),
            spreading_factor=spreading_factor,
            bandwidth_hz=bandwidth_hz,
            coding_rate=coding_rate,
            rssi_dbm=_number(rxpk, "rssi", -300.0, 100.0),
            snr_db=_number(rxpk, "lsnr", -100.0, 100.0, default=0.0),
            payload=payload,
        )

    def to_json(self) -> dict[str, Any]:
        lora = self.spreading_factor != 0
        fields: dict[str, Any] = {
            "tmst": self.counter_us,
            "chan": self.channel,
            "rfch": 0,
            "freq": self.frequency_hz / 1e6,
            "stat": self.crc,
            "modu": "LORA" if lora else "FSK",
            "datr": f"SF{self.spreading_factor}BW{self.bandwidth_hz // 1000}" if lora else 50_000,
            "rssi": self.rssi_dbm,
            "size": len(self.payload),
            "data": base64.b64encode(self.payload).decode(),
        }
        return fields | ({"codr": self.coding_rate, "lsnr": self.snr_db} if lora else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """What the forwarder says of itself (section 4); a field it left out is None."""

    received: int | None = None  # rxnb
    received_ok: int | None = None  # rxok
    forwarded: int | None = None  # rxfw
    acknowledged_percent: float | None = None  # ackr
    downlinks: int | None = None  # dwnb
    emitted: int | None = None  # txnb

    _FIELDS: ClassVar[Mapping[str, str]] = {
        "received": "rxnb",
        "received_ok": "rxok",
        "forwarded": "rxfw",
        "acknowledged_percent": "ackr",
        "downlinks": "dwnb",
        "emitted": "txnb",
    }

    @classmethod
    def from_json(cls, stat: object) -> Stat:
        if not isinstance(stat, dict):
            raise GwmpError("stat", "not an object")
        present = {
            ours: _number(stat, theirs, 0, 2**53) for ours, theirs in cls._FIELDS.items() if theirs in stat
        }
        ratio = present.pop("acknowledged_percent", None)
        return cls(acknowledged_percent=ratio, **{name: int(value) for name, value in present.items()})

    def to_json(self) -> dict[str, Any]:
        values = {theirs: getattr(self, ours) for ours, theirs in self._FIELDS.items()}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TxPacket:
    """One packet to emit, ``txpk`` (section 6). ``counter_us`` None is ``imme``: at once."""

    counter_us: int | None
    frequency_hz: int
    power_dbm: int
    spreading_factor: int
    bandwidth_hz: int
    coding_rate: str
    invert_iq: bool
    payload: bytes
    preamble: int = 8
    no_crc: bool = True

    @classmethod
    def from_json(cls, txpk: object) -> TxPacket:
        if not isinstance(txpk, dict):
            raise GwmpError("txpk", "not an object")
        spreading_factor, bandwidth_hz, coding_rate = _modulation(txpk)
        return cls(
            counter_us=None if txpk.get("imme") is True else _integer(txpk, "tmst", 0, 0xFFFFFFFF),
            frequency_hz=round(_number(txpk, "freq", 100.0, 3000.0) * 1e6),
            power_dbm=_integer(txpk, "powe", -20, 40, default=14),
            spreading_factor=spreading_factor,
            bandwidth_hz=bandwidth_hz,
            coding_rate=coding_rate,
            invert_iq=txpk.get("ipol") is True,
            payload=_payload(txpk.get("data")),
            preamble=_integer(txpk, "prea", 6, 65535, default=8),
            no_crc=txpk.get("ncrc") is True,
        )

    def to_json(self) -> dict[str, Any]:
        when = {"imme": True} if self.counter_us is None else {"imme": False, "tmst": self.counter_us}
        return when | {
            "freq": self.frequency_hz / 1e6,
            "rfch": 0,
            "powe": self.power_dbm,
            "modu": "LORA",
            "datr": f"SF{self.spreading_factor}BW{self.bandwidth_hz // 1000}",
            "codr": self.coding_rate,
            "ipol": self.invert_iq,
            "prea": self.preamble,
            "ncrc": self.no_crc,
            "size": len(self.payload),
            "data": base64.b64encode(self.payload).decode(),
        }


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


def _modulation(fields: Mapping[str, object]) -> tuple[int, int, str]:
    """``(spreading factor, bandwidth, coding rate)``; ``(0, 0, "")`` for FSK."""
    if fields.get("modu", "LORA") == "FSK":
        return 0, 0, ""
    rate, coding = fields.get("datr"), fields.get("codr", "4/5")
    match = DATA_RATE.fullmatch(rate) if isinstance(rate, str) else None
    if match is None:
        raise GwmpError("rxpk", "datr is no LoRa data rate")
    if not isinstance(coding, str) or coding not in CODING_RATES:
        raise GwmpError("rxpk", "codr is no LoRa coding rate")
    return int(match[1]), int(match[2]) * 1000, coding


def _payload(text: object) -> bytes:
    if not isinstance(text, str) or len(text) > 4 * (MAX_PAYLOAD // 3 + 1):
        raise GwmpError("rxpk", "data is not base64 of a payload")
    try:  # some forwarders leave the padding out
        payload = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise GwmpError("rxpk", "data is not base64") from error
    if not 0 < len(payload) <= MAX_PAYLOAD:
        raise GwmpError("rxpk", f"a payload of {len(payload)} bytes")
    return payload


def _number(
    fields: Mapping[str, Any], name: str, low: float, high: float, default: float | None = None
) -> float:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise GwmpError("field", f"{name} is not a number from {low:g} to {high:g}")
    return float(value)


def _integer(fields: Mapping[str, Any], name: str, low: int, high: int, default: int | None = None) -> int:
    value = _number(fields, name, low, high, default)
    if not value.is_integer():
        raise GwmpError("field", f"{name} is not an integer")
    return round(value)
