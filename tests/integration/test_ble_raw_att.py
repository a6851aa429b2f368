"""The Bluetooth driver before a central made of bytes: what is on the air, to the letter of the page."""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from ble_rig import Rig, receipt, snapshot
from raw_att import AttError, RawCentral, raw_central

from simulators.phones.controller import VirtualController
from simulators.phones.port import TcpPort

FFF0_LONG = bytes.fromhex("fb349b5f80000080 00100000 f0ff0000")  # last byte first
WRITE_REQUEST, WRITE_COMMAND, NOTIFY, READ = 0x08, 0x04, 0x10, 0x02


@asynccontextmanager
async def beside(rig: Rig) -> AsyncIterator[RawCentral]:
    """A raw central in the rig's air."""
    controller = VirtualController(rig.air, "raw")
    async with TcpPort(controller) as port:
        _, host, number = port.address.split(":")
        async with raw_central(host, int(number)) as central:
            yield central


async def dial(central: RawCentral, mtu: int = 247) -> tuple[int, int]:
    """Connected and subscribed: the handles of FFF1 and FFF2."""
    await central.connect("C0:FF:EE:00:00:01", public=True)
    assert await central.exchange_mtu(mtu) == mtu
    found = await central.characteristics(*await central.find_service(b"\xf0\xff"))
    await central.write(found[0xFFF2][0] + 1, b"\x01\x00")
    return found[0xFFF1][0], found[0xFFF2][0]


async def test_flags_and_service_are_in_one_packet_and_the_longest_name_in_the_other() -> None:
    rig = Rig(id="gateway-of-20-chars!")
    async with rig.running() as driver, beside(rig) as central:
        packets = await central.scan()
        assert packets[0] == bytes.fromhex("020106 0303f0ff")
        assert packets[4] == b"\x1d\x09OFFGRID_gateway-of-20-chars!"
        driver.announce({"hint": bytes(20)})
        while packets[0] == bytes.fromhex("020106 0303f0ff"):
            packets = await central.scan()
        assert packets[0] == bytes.fromhex("020106 0303f0ff 1716f0ff") + bytes(20)
        assert len(packets[0]) <= 31


async def test_the_service_is_found_by_16_and_by_128_bits_with_its_characteristics() -> None:
    rig = Rig()
    async with rig.running(), beside(rig) as central:
        await central.connect("C0:FF:EE:00:00:01", public=True)
        span = await central.find_service(b"\xf0\xff")
        assert await central.find_service(FFF0_LONG) == span
        with pytest.raises(AttError):
            await central.find_service(b"\xf8\xff")
        found = await central.characteristics(*span)
        assert {uuid: properties for uuid, (_, properties) in found.items()} == {
            0xFFF1: WRITE_REQUEST | WRITE_COMMAND,
            0xFFF2: NOTIFY,
            **dict.fromkeys((0xFFF3, 0xFFF4, 0xFFF5, 0xFFF6, 0xFFF7), READ),
            0xFFF8: WRITE_REQUEST | WRITE_COMMAND,
            0xFFF9: NOTIFY,
        }


async def test_what_the_gateway_announces_can_be_read() -> None:
    rig = Rig()
    async with rig.running() as driver, beside(rig) as central:
        driver.announce(
            {
                "key": bytes(range(32)),
                "beacon": b"\x88\x16",
                "checkpoint": b"note",
                "clock": struct.pack(">qB", 3_600_000, 2),
            }
        )
        for fact in (
            {"id": b"x"},
            {"time": b"x"},
            {"colour": b"red"},
            {"hint": bytes(21)},
            {"key": bytes(33)},
            {"beacon": bytes(513)},
        ):
            with pytest.raises(ValueError, match="cannot be announced"):
                driver.announce(fact)
        await dial(central)
        found = await central.characteristics(1, 0xFFFF)
        read = {uuid: await central.read(found[uuid][0]) for uuid in range(0xFFF3, 0xFFF8)}
    assert read[0xFFF3] == b"\x88\x16"
    assert read[0xFFF4] == b"hill-1"
    assert read[0xFFF5] == bytes(range(32))
    assert read[0xFFF6] == b"note"
    milliseconds, quality = struct.unpack(">QB", read[0xFFF7])
    assert abs(milliseconds - 3_600_000 - time.time() * 1000) < 60_000
    assert quality == 2


@pytest.mark.parametrize("kind", ["write", "write_without_response"])
async def test_a_short_message_is_one_value_each_way(kind: str) -> None:
    rig, message = Rig(), snapshot(200, 1)
    async with rig.running(), beside(rig) as central:
        write, notify = await dial(central)
        await getattr(central, kind)(write, b"\x15\x07" + message)
        assert await central.notified.get() == (notify, b"\x15\x07" + receipt(message))
        await central.disconnect()
    assert [frame.payload for frame in rig.heard] == [message]
    assert rig.heard[0].peer == "C0:0E:0D:0C:0B:0A"


async def test_a_long_message_is_resumed_where_it_was_cut() -> None:
    rig, message = Rig(), snapshot(20_000, 2)
    digest = hashlib.sha256(message).digest()
    start = b"\x11\x01" + len(message).to_bytes(3) + digest[:12]
    async with rig.running(), beside(rig) as central:
        write, notify = await dial(central)
        await central.write(write, start)
        assert await central.notified.get() == (notify, b"\x16\x01\x00\x00\x00")
        for at in range(0, 18_000, 200):
            await central.write_without_response(write, b"\x12\x01" + at.to_bytes(3) + message[at : at + 200])
        assert await central.notified.get() == (notify, b"\x13\x01" + (16_400).to_bytes(3))
        await central.write(write, b"\x12\x01" + (19_000).to_bytes(3) + b"?")  # all before it is here by now
        assert await central.notified.get() == (notify, b"\x16\x01" + (18_000).to_bytes(3))
        await central.disconnect()
        central.disconnected.clear()
        write, notify = await dial(central)
        await central.write(write, start)
        assert await central.notified.get() == (notify, b"\x16\x01" + (18_000).to_bytes(3))
        for at in range(18_000, 20_000, 200):
            await central.write(write, b"\x12\x01" + at.to_bytes(3) + message[at : at + 200])
        assert await central.notified.get() == (notify, b"\x14\x01\x00" + digest[:16])
        assert await central.notified.get() == (notify, b"\x15\x01" + receipt(message))
        await central.disconnect()


async def test_a_value_longer_than_the_mtu_may_come_by_prepared_writes() -> None:
    rig, message = Rig(), snapshot(300, 3)
    async with rig.running(), beside(rig) as central:
        write, notify = await dial(central, mtu=185)
        await central.write_long(write, b"\x15\x02" + message, 180)
        assert await central.notified.get() == (notify, b"\x15\x02" + receipt(message))
        await central.disconnect()


async def test_a_value_longer_than_512_bytes_is_refused_by_att() -> None:
    rig = Rig()
    async with rig.running(), beside(rig) as central:
        write, _ = await dial(central, mtu=517)
        with pytest.raises(AttError) as error:
            await central.write(write, bytes(513))
        assert error.value.code == 0x0D
        await central.disconnect()


async def test_noise_in_att_does_not_disturb_the_driver() -> None:
    rig, message = Rig(), snapshot(100, 5)
    async with rig.running(), beside(rig) as central:
        write, notify = await dial(central)
        for noise in (b"\x3f\x00", struct.pack("<BH", 0x52, 0x7FFF) + b"x", b"\xd2\x00\x00", b"\x1e"):
            await central.send(noise)
        with pytest.raises(AttError):
            await central.write(0x7FFF, b"x")
        await central.write(write, b"\x15\x01" + message)
        assert await central.notified.get() == (notify, b"\x15\x01" + receipt(message))
        await central.disconnect()
