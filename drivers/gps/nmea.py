"""NMEA 0183 sentences: checksum, RMC and GGA; no I/O.

A sentence is ``$``, talker (2), type (3), fields separated by commas, ``*`` and the exclusive or of all
between as two hex digits. Empty fields are how a receiver says that it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rmc:
    """Recommended minimum: UTC of the last PPS, and whether the receiver believes it."""

    valid: bool
    unix_ns: int | None


@dataclass(frozen=True, slots=True)
class Gga:
    """Position fix. ``quality`` 0 is none; altitude in metres above the WGS84 ellipsoid."""

    quality: int
    satellites: int
    latitude_deg: float | None
    longitude_deg: float | None
    altitude_m: float | None


def parse_sentence(line: bytes) -> Rmc | Gga | None:
    """A sentence that is of use, or None for another type.

    Raises ``ValueError`` for a wrong checksum or a field that is not what it must be.
    """
    fields = _fields(line)
    kind = fields[0][2:]
    if kind == "RMC" and len(fields) >= 10:
        return Rmc(fields[2] == "A", _time(fields[1], fields[9]))
    if kind == "GGA" and len(fields) >= 12:
        return _gga(fields)
    return None


def _fields(line: bytes) -> list[str]:
    body, star, checksum = line.strip().removeprefix(b"$").rpartition(b"*")
    if not star:
        raise ValueError("no checksum")
    seen = 0
    for byte in body:
        seen ^= byte
    if seen != int(checksum, 16):
        raise ValueError(f"checksum {seen:02X}, the sentence says {checksum.decode(errors='replace')}")
    return body.decode("ascii").split(",")


def _time(clock: str, date: str) -> int | None:
    """``hhmmss.sss`` and ``ddmmyy`` in Unix nanoseconds."""
    if not clock or not date:
        return None
    whole, _, fraction = clock.partition(".")
    if len(whole) != 6 or len(date) != 6:
        raise ValueError(f"time {clock!r} or date {date!r} has the wrong length")
    hour, minute, second = (int(whole[at : at + 2]) for at in (0, 2, 4))
    day, month, year = (int(date[at : at + 2]) for at in (0, 2, 4))
    # 23:59:60 is a leap second: the same instant as the next midnight in Unix time.
    moment = datetime(2000 + year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    seconds = int(moment.timestamp()) + (second - min(second, 59))
    return seconds * NANO + int(fraction[:9].ljust(9, "0") or 0)


def _gga(fields: list[str]) -> Gga:
    quality = int(fields[6] or 0)
    mean_sea, separation = _float(fields[9]), _float(fields[11])
    return Gga(
        quality=quality,
        satellites=int(fields[7] or 0),
        latitude_deg=_degrees(fields[2], fields[3], 2) if quality else None,
        longitude_deg=_degrees(fields[4], fields[5], 3) if quality else None,
        altitude_m=None if not quality or mean_sea is None else mean_sea + (separation or 0.0),
    )


def _float(field: str) -> float | None:
    return float(field) if field else None


def _degrees(field: str, hemisphere: str, digits: int) -> float | None:
    """``dddmm.mmmm`` with its hemisphere."""
    if not field:
        return None
    value = int(field[:digits]) + float(field[digits:]) / 60
    return -value if hemisphere in ("S", "W") else value
