"""The fields TPDUs are built of: addresses and time stamps (3GPP TS 23.040 clauses 9.1.2, 9.2.3.11).

PDUs are refused by kind::

    not_hex    an odd number of digits, or one that is none
    smsc       the service centre's address cannot be one
    type       no message of this direction (TP-MTI)
    address    TP-OA, TP-DA or TP-RA cannot be one, or ends early
    truncated  the PDU ends before a mandatory field
    header     TP-UDH does not fit into the user data
    user_data  there is less of it than TP-UDL says, or more than 140 octets
    encoding   compressed, or UCS-2 with half a character
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from drivers.gsm_at.alphabet import decode_text, encode_text, pack, unpack

DIGITS = "0123456789*#abc"  # clause 9.1.2.3; 0xF is the filler
INTERNATIONAL = 0x91  # number, ISDN plan
UNKNOWN = 0x81
ALPHANUMERIC = 0xD0
MAX_SEMI_OCTETS = 20  # clause 9.1.2.5: 12 octets with length and type
PIVOT = 70  # two-digit years from here on are of the last century


class PduError(Exception):
    """A PDU that is none; ``kind`` is one word of the list above, fit for a metric label."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class Octets:
    """Reads fields from the front; running out is ``truncated`` unless the field has its own word."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int, kind: str = "truncated") -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) < count:
            raise PduError(kind, f"{count} octets wanted at {self._at}, {len(piece)} left")
        self._at += count
        return piece

    def one(self, kind: str = "truncated") -> int:
        return self.take(1, kind)[0]

    def rest(self) -> bytes:
        return self._data[self._at :]


@dataclass(frozen=True, slots=True)
class Address:
    """A number without its ``+``, or a sender's name; ``kind`` is the type-of-address octet."""

    value: str
    kind: int = INTERNATIONAL

    @classmethod
    def parse(cls, number: str) -> Address:
        """``+49170…`` is international, ``50131`` unknown. Raises :class:`ValueError` for no number."""
        digits = number.removeprefix("+")
        if not digits or len(digits) > MAX_SEMI_OCTETS or any(digit not in DIGITS for digit in digits):
            raise ValueError(f"{number!r} is not a telephone number of at most {MAX_SEMI_OCTETS} digits")
        return cls(digits, INTERNATIONAL if number.startswith("+") else UNKNOWN)

    @property
    def alphanumeric(self) -> bool:
        return self.kind & 0x70 == 0x50

    def __str__(self) -> str:
        return f"+{self.value}" if self.kind & 0x70 == 0x10 else self.value

    def to_octets(self) -> bytes:
        """Length in semi-octets, type, value."""
        if self.alphanumeric:
            septets = encode_text(self.value)
            return bytes(((7 * len(septets) + 3) // 4, self.kind)) + pack(septets)
        return bytes((len(self.value), self.kind)) + _semi_octets(self.value)

    @classmethod
    def read(cls, octets: Octets) -> Address:
        length = octets.one("address")
        kind = octets.one("address")
        if length > MAX_SEMI_OCTETS:
            raise PduError("address", f"{length} semi-octets, at most {MAX_SEMI_OCTETS}")
        value = octets.take((length + 1) // 2, "address")
        if kind & 0x70 == 0x50:
            return cls(decode_text(unpack(value, length * 4 // 7)), kind)
        return cls(_digits(value, length, "address"), kind)


def read_smsc(octets: Octets) -> Address | None:
    """The service centre in front of a TPDU (TS 27.005 clause 3.1); None where the modem has its own."""
    length = octets.one("smsc")
    if length == 0:
        return None
    if not 2 <= length <= 1 + MAX_SEMI_OCTETS // 2:
        raise PduError("smsc", f"{length} octets, 0 or 2 to 11 expected")
    kind = octets.one("smsc")
    if not kind & 0x80 or kind & 0x70 in (0x50, 0x70):
        raise PduError("smsc", f"type of address {kind:#04x} is no number's")
    value = octets.take(length - 1, "smsc")
    return Address(_digits(value, 2 * len(value) - (value[-1] >> 4 == 0xF), "smsc"), kind)


def smsc_octets(smsc: Address | None) -> bytes:
    """The length counts octets here, type included."""
    if smsc is None:
        return b"\0"
    value = _semi_octets(smsc.value)
    return bytes((1 + len(value), smsc.kind)) + value


def _digits(octets: bytes, count: int, kind: str) -> str:
    swapped = [nibble for octet in octets for nibble in (octet & 0xF, octet >> 4)][:count]
    if swapped and swapped[-1] == 0xF:
        swapped.pop()  # some senders count the filler as a digit
    if 0xF in swapped:
        raise PduError(kind, f"a filler among the digits of {octets.hex()}")
    return "".join([DIGITS[nibble] for nibble in swapped])


def _semi_octets(digits: str) -> bytes:
    nibbles = [DIGITS.index(digit) for digit in digits] + [0xF] * (len(digits) % 2)
    return bytes([low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True)])


@dataclass(frozen=True, slots=True)
class Timestamp:
    """Seven octets as they came: service centres write odd ones, and no message is lost for that."""

    octets: bytes

    @classmethod
    def of(cls, moment: datetime) -> Timestamp:
        """From an aware time; its offset is rounded down to quarters of an hour."""
        offset = moment.utcoffset() or timedelta()
        quarters = int(offset.total_seconds()) // 900
        parts = (moment.year % 100, moment.month, moment.day, moment.hour, moment.minute, moment.second)
        zone = _swapped(abs(quarters)) | (8 if quarters < 0 else 0)
        return cls(bytes([*map(_swapped, parts), zone]))

    @property
    def moment(self) -> datetime | None:
        """None where the octets are no time."""
        year, month, day, hour, minute, second = map(_plain, self.octets[:6])
        zone = self.octets[6]
        quarters = _plain(zone & 0xF7) * (-1 if zone & 8 else 1)
        try:
            offset = timezone(timedelta(minutes=15 * quarters)) if quarters else UTC
            century = 1900 if year >= PIVOT else 2000
            return datetime(century + year, month, day, hour, minute, second, tzinfo=offset)
        except (ValueError, OverflowError):
            return None


def _swapped(value: int) -> int:
    return value // 10 | value % 10 << 4


def _plain(octet: int) -> int:
    """Two swapped decimal digits; 255 where one is none, so that no date is made of it."""
    tens, units = octet & 0xF, octet >> 4
    return tens * 10 + units if tens < 10 and units < 10 else 255
