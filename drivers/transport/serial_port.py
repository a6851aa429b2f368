"""Serial ports by address: a path, or a pattern under ``/dev/serial/by-id`` that survives renumbering.

Reading and writing never block; opening and closing do (a hung USB modem holds ``close`` back), on threads
of their own.
"""

from __future__ import annotations

import asyncio
import errno
import glob
import os
import re
import stat
from collections.abc import Callable
from functools import partial
from typing import Protocol

import serial

from drivers.errors import DriverConfigError, DriverLost
from drivers.transport.holders import holders
from drivers.transport.opening import open_on_thread

READ_BYTES = 4096
WRITE_TIMEOUT_S = 10.0
SIMULATE = "to try without a modem: python -m simulators.modem"


class BytePort(Protocol):
    """Bytes in, bytes out. :class:`DriverLost` from either means that the device is gone."""

    async def read(self) -> bytes:
        """At least one byte."""
        ...

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None:
        """Closing twice is harmless."""
        ...


def matching_ports(pattern: str) -> list[str]:
    """The paths that a pattern (``/dev/serial/by-id/*Quectel*``) names at this moment, sorted."""
    return sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern] * os.path.exists(pattern)


def interface_of(path: str) -> int | None:
    """The USB interface number udev writes into a by-id name: ``…-if02-port0`` is 2."""
    match = re.search(r"-if([0-9a-fA-F]{2})(?:-|$)", os.path.basename(path))
    return int(match[1], 16) if match else None


async def open_serial(path: str, baud: int = 115_200) -> SerialPort:
    """Open and lock. Raises :class:`DriverConfigError` (a person must act) or :class:`DriverLost`."""
    try:
        device = await open_on_thread(partial(serial.Serial, path, baud, timeout=0, exclusive=True))
    except serial.SerialException as error:
        raise _cannot_open(path, error) from error
    except OSError as error:
        raise DriverLost(f"{path} cannot be opened: {error}") from error
    return SerialPort(path, device)


def _cannot_open(path: str, error: serial.SerialException) -> DriverConfigError | DriverLost:
    number = error.errno
    if number == errno.EACCES:
        return DriverConfigError(
            f"no permission to open {path}", fix="add the gateway's user to the group dialout"
        )
    if number in (errno.ENOTTY, errno.EINVAL) or (os.path.exists(path) and not _is_device(path)):
        return DriverConfigError(f"{path} is no serial port", fix=f"name the modem's AT port; {SIMULATE}")
    if "lock" in str(error):
        others = ", ".join(map(str, holders(path))) or "another process"
        return DriverLost(
            f"{path} is held by {others}; stop it, or take the port from ModemManager by ID_MM_PORT_IGNORE"
        )
    return DriverLost(f"{path} cannot be opened: {error}")


def _is_device(path: str) -> bool:
    return stat.S_ISCHR(os.stat(path).st_mode)


class SerialPort:
    """An open port. One reader and one writer at a time."""

    def __init__(self, path: str, device: serial.Serial) -> None:
        self.path = path
        self._device: serial.Serial | None = device
        self._file: int = device.fileno()

    async def read(self) -> bytes:
        while True:
            loop = asyncio.get_running_loop()
            await self._ready(loop.add_reader, loop.remove_reader)
            try:
                data = os.read(self._file, READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise DriverLost(f"{self.path} is gone: {error}") from error
            if not data:
                raise DriverLost(f"{self.path} hung up")
            return data

    async def write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._file, left) :]
            except BlockingIOError:
                await self._writable()
            except OSError as error:
                raise DriverLost(f"{self.path} is gone: {error}") from error

    async def close(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            await asyncio.to_thread(_close, device)

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.wait_for(self._ready(loop.add_writer, loop.remove_writer), WRITE_TIMEOUT_S)
        except TimeoutError as error:
            raise DriverLost(f"{self.path} takes no bytes") from error

    async def _ready(self, add: Callable[..., object], remove: Callable[[int], object]) -> None:
        if self._device is None:
            raise DriverLost(f"{self.path} is closed")
        ready = asyncio.get_running_loop().create_future()
        add(self._file, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            remove(self._file)


def _close(device: serial.Serial) -> None:
    try:
        device.close()
    except OSError:
        pass  # it vanished: there is nothing left to give back
