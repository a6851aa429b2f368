"""A Bluetooth central of bytes: HCI, L2CAP and ATT by hand over a stream; nothing shared with any stack."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

ATT_CHANNEL = 4


class AttError(Exception):
    """An ATT Error Response; ``code`` as in Vol 3 Part F 3.4.1.1."""

    def __init__(self, code: int) -> None:
        super().__init__(f"ATT error {code:#x}")
        self.code = code


class RawCentral:
    """One connection. ``notified`` holds the values of notifications as they come: (handle, value)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self._complete: asyncio.Queue[bytes] = asyncio.Queue()
        self.notified: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self.reports: asyncio.Queue[bytes] = asyncio.Queue()
        self.connected: asyncio.Queue[int] = asyncio.Queue()
        self.disconnected = asyncio.Event()
        self._connection = 0
        self._joined = b""
        self._buffers = asyncio.Semaphore(4)

    async def command(self, opcode: int, parameters: bytes = b"") -> bytes:
        """One HCI command; what its Command Complete or Command Status carries."""
        self._writer.write(struct.pack("<BHB", 1, opcode, len(parameters)) + parameters)
        return await asyncio.wait_for(self._complete.get(), 5)

    async def scan(self) -> dict[int, bytes]:
        """Advertising and scan response data of the first advertiser, by event type (0 and 4)."""
        await self.command(0x200B, struct.pack("<BHHBB", 1, 16, 16, 0, 0))
        await self.command(0x200C, b"\x01\x00")
        found: dict[int, bytes] = {}
        while not {0, 4} <= set(found):
            report = await asyncio.wait_for(self.reports.get(), 5)
            found[report[0]] = report[9 : 9 + report[8]]
        await self.command(0x200C, b"\x00\x00")
        return found

    async def connect(self, address: str, *, public: bool) -> None:
        raw = bytes.fromhex(address.replace(":", ""))[::-1]
        await self.command(0x2005, bytes.fromhex("0a0b0c0d0ec0"))
        timing = struct.pack("<HHHHHH", 24, 24, 0, 200, 0, 0)
        await self.command(
            0x200D, struct.pack("<HHB", 16, 16, 0) + bytes([not public]) + raw + b"\x01" + timing
        )
        self._connection = await asyncio.wait_for(self.connected.get(), 5)

    async def disconnect(self) -> None:
        await self.command(0x0406, struct.pack("<HB", self._connection, 0x13))
        await asyncio.wait_for(self.disconnected.wait(), 5)

    async def send(self, pdu: bytes) -> None:
        """One ATT PDU, in ACL packets of at most 251 bytes, as the controller has buffers."""
        data = struct.pack("<HH", len(pdu), ATT_CHANNEL) + pdu
        for at in range(0, len(data), 251):
            await self._buffers.acquire()
            flags = self._connection | (0x1000 if at else 0)
            chunk = data[at : at + 251]
            self._writer.write(struct.pack("<BHH", 2, flags, len(chunk)) + chunk)

    async def request(self, pdu: bytes) -> bytes:
        """Its response. Raises :class:`AttError`."""
        await self.send(pdu)
        answer = await asyncio.wait_for(self._answers.get(), 5)
        if answer[0] == 0x01:
            raise AttError(answer[4])
        return answer

    async def exchange_mtu(self, mtu: int) -> int:
        answer = await self.request(struct.pack("<BH", 0x02, mtu))
        return min(mtu, int.from_bytes(answer[1:3], "little"))

    async def find_service(self, uuid: bytes) -> tuple[int, int]:
        """Find By Type Value: the handles that a primary service of this UUID (little-endian) spans."""
        answer = await self.request(struct.pack("<BHHH", 0x06, 1, 0xFFFF, 0x2800) + uuid)
        first, last = struct.unpack("<HH", answer[1:5])
        return first, last

    async def characteristics(self, first: int, last: int) -> dict[int, tuple[int, int]]:
        """16-bit UUID → (value handle, properties)."""
        found: dict[int, tuple[int, int]] = {}
        while first <= last:
            try:
                answer = await self.request(struct.pack("<BHHH", 0x08, first, last, 0x2803))
            except AttError:
                break
            for at in range(2, len(answer), answer[1]):
                declared, properties, value, uuid = struct.unpack("<HBHH", answer[at : at + 7])
                found[uuid] = (value, properties)
                first = declared + 1
        return found

    async def write(self, handle: int, value: bytes) -> None:
        assert await self.request(struct.pack("<BH", 0x12, handle) + value) == b"\x13"

    async def write_without_response(self, handle: int, value: bytes) -> None:
        await self.send(struct.pack("<BH", 0x52, handle) + value)

    async def write_long(self, handle: int, value: bytes, step: int) -> None:
        """Prepare Write and Execute Write, as stacks do when a value is longer than MTU - 3."""
        for at in range(0, len(value), step):
            await self.request(struct.pack("<BHH", 0x16, handle, at) + value[at : at + step])
        assert await self.request(b"\x18\x01") == b"\x19"

    async def read(self, handle: int) -> bytes:
        return (await self.request(struct.pack("<BH", 0x0A, handle)))[1:]

    async def run(self) -> None:
        """Read H4 packets until the stream ends."""
        while True:
            kind = (await self._reader.readexactly(1))[0]
            if kind == 4:
                code, length = await self._reader.readexactly(2)
                self._event(code, await self._reader.readexactly(length))
            else:
                flags, length = struct.unpack("<HH", await self._reader.readexactly(4))
                self._acl(flags, await self._reader.readexactly(length))

    def _event(self, code: int, body: bytes) -> None:
        if code == 0x0E:
            self._complete.put_nowait(body[3:])
        elif code == 0x0F:
            self._complete.put_nowait(body[:1])
        elif code == 0x13:
            for _ in range(struct.unpack("<H", body[3:5])[0]):
                self._buffers.release()
        elif code == 0x05:
            self.disconnected.set()
        elif code == 0x3E and body[0] == 0x01:
            self.connected.put_nowait(struct.unpack("<H", body[2:4])[0])
        elif code == 0x3E and body[0] == 0x02:
            self.reports.put_nowait(body[2:])

    def _acl(self, flags: int, data: bytes) -> None:
        self._joined = data if flags >> 12 & 3 == 2 else self._joined + data
        length, channel = struct.unpack("<HH", self._joined[:4])
        if len(self._joined) < length + 4 or channel != ATT_CHANNEL:
            return
        pdu = self._joined[4:]
        if pdu[0] == 0x1B:
            self.notified.put_nowait((struct.unpack("<H", pdu[1:3])[0], pdu[3:]))
        else:
            self._answers.put_nowait(pdu)


@asynccontextmanager
async def raw_central(host: str, port: int) -> AsyncIterator[RawCentral]:
    """A central at the controller that listens there."""
    reader, writer = await asyncio.open_connection(host, port)
    central = RawCentral(reader, writer)
    running = asyncio.create_task(central.run())
    await central.command(0x0C03)
    try:
        yield central
    finally:
        running.cancel()
        await asyncio.wait([running])
        writer.close()
        await writer.wait_closed()
