"""What the gateway shows to who only listens: advertisement and scan response, by an address that stays."""

from __future__ import annotations

import hashlib
import struct

from bumble import hci

from drivers.ble.gatt import SERVICE

INTERVAL_MS = 100.0
MAX_HINT = 20  # of an advertisement's 31: flags 3, service list 4, header and UUID 4


def advertisement(hint: bytes) -> bytes:
    """Flags (LE general, no BR/EDR), the service by its 16 bits, and the hint as its service data."""
    service = struct.pack("<H", SERVICE)
    data = b"\x02\x01\x06" + b"\x03\x03" + service
    return data + bytes((3 + len(hint), 0x16)) + service + hint if hint else data


def scan_response(name: str) -> bytes:
    """The complete local name."""
    text = name.encode("ascii")
    return bytes((1 + len(text), 0x09)) + text


def static_address(name: str) -> hci.Address:
    """For a controller without an address of its own: the same after every start (Vol 6 Part B 1.3.2.1)."""
    raw = bytearray(hashlib.sha256(name.encode()).digest()[:6])
    raw[5] |= 0xC0
    return hci.Address(bytes(raw), hci.Address.RANDOM_DEVICE_ADDRESS)
