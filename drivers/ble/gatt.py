"""The gateway's GATT service: which attributes there are, and who is called for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bumble import att
from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Characteristic, CharacteristicValue, Service

SERVICE, WRITE, NOTIFY = 0xFFF0, 0xFFF1, 0xFFF2
LINK_WRITE, LINK_NOTIFY = 0xFFF8, 0xFFF9
INFO: Mapping[str, int] = {
    "beacon": 0xFFF3,
    "id": 0xFFF4,
    "key": 0xFFF5,
    "checkpoint": 0xFFF6,
    "time": 0xFFF7,
}
BASE_UUID_TAIL = bytes.fromhex("fb349b5f80000080 00100000")  # of the Bluetooth base UUID, last byte first

OnWrite = Callable[[Connection, bytes], None]


def service(
    on_write: OnWrite,
    notify: Characteristic[bytes],
    read: Callable[[str], bytes],
    on_link_write: OnWrite,
    link_notify: Characteristic[bytes],
) -> Service:
    """FFF0 by its 16 bits: the 128-bit form is not found by a central that looks it up by its short name."""
    facts = [readable(number, fact, read) for fact, number in INFO.items()]
    write, link_write = writable(WRITE, on_write), writable(LINK_WRITE, on_link_write)
    return Service(UUID.from_16_bits(SERVICE), [write, notify, *facts, link_write, link_notify])


def writable(number: int, on_write: OnWrite) -> Characteristic[bytes]:
    """By both kinds of write. ``on_write`` is synchronous, since bumble runs each write in a task of its own:
    with an await in it the order would break."""
    return Characteristic(
        UUID.from_16_bits(number),
        Characteristic.Properties.WRITE | Characteristic.Properties.WRITE_WITHOUT_RESPONSE,
        Characteristic.WRITEABLE,
        CharacteristicValue(write=on_write),
    )


def readable(number: int, fact: str, read: Callable[[str], bytes]) -> Characteristic[bytes]:
    return Characteristic(
        UUID.from_16_bits(number),
        Characteristic.Properties.READ,
        Characteristic.READABLE,
        CharacteristicValue(read=lambda _connection: read(fact)),
    )


def notifying(number: int) -> Characteristic[bytes]:
    return Characteristic(
        UUID.from_16_bits(number), Characteristic.Properties.NOTIFY, Characteristic.Permissions(0)
    )


def shortened(request: att.ATT_Find_By_Type_Value_Request) -> att.ATT_Find_By_Type_Value_Request:
    """Some ask for FFF0 by its 128 bits, which is the same (Vol 3 Part B 2.5.1); bumble compares bytes."""
    value = request.attribute_value
    if len(value) == 16 and value[:12] == BASE_UUID_TAIL and value[14:] == b"\x00\x00":
        value = value[12:14]
    return att.ATT_Find_By_Type_Value_Request(
        starting_handle=request.starting_handle,
        ending_handle=request.ending_handle,
        attribute_type=request.attribute_type,
        attribute_value=value,
    )
