"""SPI by address: ``spidev:0.0`` is a bus and chip select here, ``unix:PATH`` a simulator's socket.

All calls block; who owns the bus gives it a thread of its own. ``OSError`` from :meth:`Spi.transfer` means
that the device is gone. Linux lets any number of programs open one spidev, and a chip driven by two answers
to neither; so the device is locked, and whoever else has it open is named.
"""

from __future__ import annotations

import socket
import struct
from typing import Protocol

from drivers.errors import DriverConfigError, DriverLost
from drivers.transport.holders import DeviceLock
from drivers.transport.spidev import SpiDevice

UNIX_TIMEOUT_S = 5.0
DEVICES = "/dev/spidev"  # before BUS.CHIP
SIMULATE = (
    "to try without the board: python -m simulators.concentrator --socket PATH --firmware FOLDER, "
    "which prints the configuration for it"
)


class Spi(Protocol):
    """One chip on a bus: mode 0, 8 bits, most significant first, chip select low for the whole transfer."""

    def transfer(self, mosi: bytes) -> bytes:
        """Exchange at most 4,096 bytes; as many come back. OSError when the device is gone."""
        ...

    def set_clock(self, clock_hz: int) -> None:
        """From the next transfer on."""
        ...

    def close(self) -> None:
        """Closing twice is harmless."""
        ...


def open_spi(address: str, clock_hz: int) -> Spi:
    """Open the bus. Raises :class:`DriverConfigError` (a person must act) or :class:`DriverLost`."""
    scheme, _, rest = address.partition(":")
    if scheme == "spidev":
        return _open_spidev(rest, clock_hz)
    if scheme == "unix" and rest:
        return UnixSpi(rest, clock_hz)
    raise DriverConfigError(f"SPI address {address!r} is not known", fix="use spidev:BUS.CHIP or unix:PATH")


def _open_spidev(place: str, clock_hz: int) -> Spi:
    bus, _, chip = place.partition(".")
    if not (bus.isdecimal() and chip.isdecimal()):
        raise DriverConfigError(f"SPI address 'spidev:{place}' is not BUS.CHIP", fix="use spidev:0.0")
    path = f"{DEVICES}{place}"
    try:
        return _locked(path, clock_hz)
    except FileNotFoundError as error:
        raise DriverConfigError(
            f"{path} does not exist",
            fix=f"enable SPI (dtparam=spi=on in config.txt, then restart the Pi); {SIMULATE}",
        ) from error
    except PermissionError as error:
        raise DriverConfigError(
            f"no permission to open {path}", fix="add the gateway's user to the group spi"
        ) from error
    except OSError as error:
        raise DriverLost(f"{path} cannot be opened: {error}") from error


def _locked(path: str, clock_hz: int) -> Spi:
    lock = DeviceLock(path)
    try:
        return SpidevSpi(SpiDevice(path, clock_hz), lock)
    except BaseException:
        lock.close()
        raise


class SpidevSpi:
    """Linux spidev, and the lock that keeps others off it."""

    def __init__(self, device: SpiDevice, lock: DeviceLock) -> None:
        self._device, self._lock = device, lock

    def transfer(self, mosi: bytes) -> bytes:
        return self._device.transfer(mosi)

    def set_clock(self, clock_hz: int) -> None:
        self._device.set_clock(clock_hz)

    def close(self) -> None:
        self._device.close()
        self._lock.close()


class UnixPins:
    """A board's pins behind a socket: kind (1 byte), length (4, big-endian), body; one answer a message."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(UNIX_TIMEOUT_S)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise DriverLost(f"nothing listens on {path}: {error}; is the simulator running?") from error

    def ask(self, kind: bytes, body: bytes) -> bytes:
        """Send one message, return its answer's body. OSError when the far end fails or is gone."""
        self._socket.sendall(struct.pack(">cI", kind, len(body)) + body)
        data = self._receive(5)
        answered, size = struct.unpack(">cI", data[:5])
        while len(data) < 5 + size:
            data += self._receive(5 + size - len(data))
        answer = data[5:]
        if answered != kind:
            raise OSError(answer.decode(errors="replace"))
        return answer

    def _receive(self, least: int) -> bytes:
        """At least so many bytes; more where the answer is there already, for one follows each question."""
        data = b""
        while len(data) < least:
            piece = self._socket.recv(8192)
            if not piece:
                raise ConnectionResetError("the simulator closed the connection")
            data += piece
        return data

    def close(self) -> None:
        """Closing twice is harmless."""
        self._socket.close()


class UnixSpi:
    """SPI through a simulator's socket."""

    def __init__(self, path: str, clock_hz: int) -> None:
        self._clock_hz = clock_hz
        self._pins = UnixPins(path)

    def transfer(self, mosi: bytes) -> bytes:
        return self._pins.ask(b"S", struct.pack(">I", self._clock_hz) + mosi)

    def set_clock(self, clock_hz: int) -> None:
        self._clock_hz = clock_hz

    def close(self) -> None:
        self._pins.close()
