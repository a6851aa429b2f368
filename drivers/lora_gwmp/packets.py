"""What Semtech UDP protocol v2 says in JSON: packets heard, packets to emit, a forwarder's figures; no I/O.

Source: PROTOCOL.TXT of Lora-net/packet_forwarder, sections 4 and 6. The protocol authenticates nobody, so
everything here is a claim: types, ranges and sizes are checked before a value is made of it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

MAX_PAYLOAD = 255

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
