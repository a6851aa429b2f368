"""u-blox UBX frames: checksum and NAV-TIMEGPS; no I/O (u-blox 7 protocol specification, 30 and 33).

``B5 62``, class, id, length (2, LE), payload, two checksum bytes (8-bit Fletcher over class to payload).
"""

from __future__ import annotations

from dataclasses import dataclass

SYNC = b"\xb5\x62"
NAV_TIMEGPS = (0x01, 0x20)
GPS_EPOCH_UNIX_S = 315_964_800  # 1980-01-06
WEEK_S = 604_800
NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class TimeGps:
    """GPS time of the last PPS. ``unix_ns`` None while week, time or leap seconds are not known."""

    gps_ns: int | None  # since 1980-01-06, no leap seconds
    unix_ns: int | None


def frame(kind: tuple[int, int], payload: bytes) -> bytes:
    """A whole frame."""
    body = bytes(kind) + len(payload).to_bytes(2, "little") + payload
    return SYNC + body + checksum(body)


def checksum(body: bytes) -> bytes:
    """Over class, id, length and payload."""
    first = second = 0
    for byte in body:
        first = (first + byte) & 0xFF
        second = (second + first) & 0xFF
    return bytes((first, second))


# CFG-MSG: NAV-TIMEGPS once a navigation solution on UART1.
ENABLE_TIMEGPS = frame((0x06, 0x01), bytes((*NAV_TIMEGPS, 0, 1, 1, 0, 0, 0)))


def parse_frame(data: bytes) -> TimeGps | None:
    """NAV-TIMEGPS of a whole frame, None for another kind. Raises ``ValueError`` for a wrong checksum."""
    body, sums = data[2:-2], data[-2:]
    if checksum(body) != sums:
        raise ValueError("UBX checksum")
    if tuple(body[:2]) != NAV_TIMEGPS or len(body) != 20:
        return None
    payload = body[4:]
    tow_ms = int.from_bytes(payload[0:4], "little")
    tow_ns = int.from_bytes(payload[4:8], "little", signed=True)
    week = int.from_bytes(payload[8:10], "little", signed=True)
    leap_s = int.from_bytes(payload[10:11], "little", signed=True)
    valid = payload[11]
    if valid & 0x03 != 0x03:
        return TimeGps(None, None)
    gps_ns = week * WEEK_S * NANO + tow_ms * 1_000_000 + tow_ns
    if not valid & 0x04:
        return TimeGps(gps_ns, None)
    return TimeGps(gps_ns, gps_ns + (GPS_EPOCH_UNIX_S - leap_s) * NANO)
