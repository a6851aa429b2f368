"""A Bluetooth controller by address: what opens it, and a word for a person when it does not open.

    serial:/dev/serial/by-id/NAME,1000000,rtscts   UART or USB-CDC dongle; RTS/CTS, or HCI loses bytes
    serial:/dev/pts/5                              a simulator's pseudo-terminal
    usb:0a12:0001 | usb:1-1.2                      USB dongle by vendor and product, or by its port
    hci-socket:AA:BB:CC:DD:EE:FF | 1-1.2 | 0       one the kernel drives, by address, USB port, number
    tcp-client:HOST:PORT | unix:PATH               HCI over a stream

Numbers change with the order of plugging; addresses and ports do not.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import re
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bumble.transport import open_transport
from bumble.transport.common import Transport, TransportInitError, TransportSpecError

from drivers.errors import DriverConfigError, DriverError, DriverLost

SCHEMES = ("serial", "usb", "hci-socket", "tcp-client", "unix")
OPEN_TIMEOUT_S = 10.0
HOLDERS = ("bluetoothd", "ModemManager")  # who takes adapters and serial ports unasked
USB_PORT = re.compile(r"\d+-\d+(\.\d+)*")  # bus-port.port as in /sys/bus/usb/devices
BD_ADDR = re.compile(r"([0-9A-F]{2}:){5}[0-9A-F]{2}", re.IGNORECASE)
HCIGETDEVINFO = 0x800448D3
FORMS = (
    "serial:PATH,1000000,rtscts, usb:VENDOR:PRODUCT, usb:PORT, hci-socket:ADDRESS, tcp-client:HOST:PORT "
    "or unix:PATH"
)
MAX_ADAPTERS = 16  # HCI_MAX_DEV of the kernel


@dataclass(frozen=True, slots=True)
class Adapter:
    """One controller the kernel knows: ``hci<number>``, its address, the USB port it sits in or ""."""

    number: int
    address: str
    usb_port: str


async def open_hci(address: str) -> Transport:
    """Open the controller. Raises :class:`DriverConfigError` (a person must act) or :class:`DriverLost`."""
    check_address(address)
    resolved = address
    try:
        resolved = _resolved(address)
        transport = await asyncio.wait_for(open_transport(resolved), OPEN_TIMEOUT_S)
    except DriverError:
        raise
    except TimeoutError as error:
        raise DriverLost(f"{address} did not open within {OPEN_TIMEOUT_S:.0f} s") from error
    except Exception as error:  # pyserial, libusb and bumble raise what they like: sorted by cause
        raise explain(address, error, running_holders(), resolved) from error
    if address.startswith("hci-socket:"):
        _watch_reads(transport.source)
    return transport


def check_address(address: str) -> None:
    """The form only, nothing is opened. Raises :class:`DriverConfigError`."""
    scheme, _, place = address.partition(":")
    if scheme not in SCHEMES or not place:
        raise DriverConfigError(
            f"controller {address!r} is not known to Bluetooth", fix=meant(address) or f"use {FORMS}"
        )
    if scheme == "serial" and not place.startswith("/dev/pts/") and "rtscts" not in place.split(","):
        raise DriverConfigError(
            f"controller {address} has no flow control, and HCI over a UART loses bytes without",
            fix=f"wire RTS and CTS and write {address},rtscts",
        )


def meant(address: str) -> str:
    """What is to be written for the ways in which other programs name an adapter, or ""."""
    if BD_ADDR.fullmatch(address):
        return f"write hci-socket:{address}"
    if number := re.fullmatch(r"hci(\d+)", address):
        return f"write hci-socket:ADDRESS, or hci-socket:{number[1]} where there is no other adapter"
    if address.startswith("/dev/"):
        return f"write serial:{address},1000000,rtscts"
    return ""


def _resolved(address: str) -> str:
    """The address as bumble writes it."""
    scheme, _, place = address.partition(":")
    if scheme == "hci-socket" and not place.isdecimal():
        return f"hci-socket:{choose_adapter(place, adapters())}"
    if scheme == "usb" and USB_PORT.fullmatch(place):
        return f"usb:{usb_moniker(place)}"
    return address


def choose_adapter(place: str, known: Iterable[Adapter]) -> int:
    """The number of the adapter with this address or in this USB port. Raises :class:`DriverLost`."""
    known = list(known)
    wanted = place.upper()
    for adapter in known:
        if wanted == adapter.address.upper() or (place == adapter.usb_port):
            return adapter.number
    seen = ", ".join(f"hci{a.number} {a.address} {a.usb_port}".strip() for a in known)
    # Not a person's work yet: one that is being plugged in anew looks the same.
    raise DriverLost(
        f"no Bluetooth adapter {place}; seen: {seen or 'none'}; "
        "plug it in, or write the address or the USB port of one of those seen"
    )


def adapters(sysfs: Path = Path("/sys/class/bluetooth")) -> list[Adapter]:
    """What the kernel knows. Raises :class:`DriverConfigError` where it has no Bluetooth."""
    if not hasattr(socket, "AF_BLUETOOTH"):
        raise DriverConfigError(
            "this Python was built without Bluetooth sockets",
            fix="run the gateway with the system's python3, or use a serial: or usb: address",
        )
    try:
        probe = socket.socket(socket.AF_BLUETOOTH, socket.SOCK_RAW, socket.BTPROTO_HCI)
    except OSError as error:
        raise DriverConfigError(
            f"this system has no Bluetooth sockets: {error}",
            fix="load the kernel module bluetooth, or use a serial: or usb: address",
        ) from error
    with probe:
        found = (_adapter(probe, number, sysfs) for number in range(MAX_ADAPTERS))
        return [adapter for adapter in found if adapter is not None]


def _adapter(probe: socket.socket, number: int, sysfs: Path) -> Adapter | None:
    """By ``struct hci_dev_info``: number:2, name:8, address:6 (last byte first)."""
    request = bytearray(struct.pack("<H", number) + bytes(254))
    try:
        fcntl.ioctl(probe, HCIGETDEVINFO, request)
    except OSError:
        return None  # no adapter of this number
    address = ":".join(f"{byte:02X}" for byte in reversed(request[10:16]))
    return Adapter(number, address, usb_port_of(sysfs / f"hci{number}"))


def usb_port_of(device: Path) -> str:
    """The port in the path of the device's interface (…/1-1.2/1-1.2:1.0/bluetooth/hci0), or ""."""
    ports = [part for part in device.resolve().parts if USB_PORT.fullmatch(part)]
    return ports[-1] if ports else ""


def usb_moniker(port: str) -> str:
    """``vendor:product#n`` of the device in a port: n counts the devices alike, in libusb's own order.

    Raises :class:`DriverLost` where nothing is plugged in.
    """
    import usb1
    from bumble.transport.usb import load_libusb

    load_libusb()  # type: ignore[no-untyped-call] # bumble leaves it untyped
    alike: dict[tuple[int, int], int] = {}
    with usb1.USBContext() as context:
        for device in context.getDeviceIterator(skip_on_error=True):
            kind = (device.getVendorID(), device.getProductID())
            number = alike.get(kind, 0)
            alike[kind] = number + 1
            path = ".".join(str(one) for one in device.getPortNumberList())
            if f"{device.getBusNumber()}-{path}" == port:
                return f"{kind[0]:04x}:{kind[1]:04x}#{number}"
    raise DriverLost(f"nothing is plugged into USB port {port}; see lsusb -t for the ports")


def explain(address: str, error: Exception, holders: Iterable[str], resolved: str = "") -> DriverError:
    """The error of an opening, sorted by what to do next; ``resolved``: the address with its number."""
    number = _errno_of(error)
    if number == errno.EBUSY:
        return _held(address, list(holders), resolved or address)
    if number in (errno.EACCES, errno.EPERM):
        return DriverConfigError(f"no permission to open {address}", fix=_permission(address))
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO) and address.startswith("serial:"):
        # A dongle that is being re-plugged looks the same as one never there: the supervisor comes again.
        return DriverLost(f"{address} is not there; plug it in, or see ls /dev/serial/by-id for its name")
    if isinstance(error, ImportError):
        return DriverConfigError(
            f"{address} cannot be opened: {error}", fix="pip install 'offgrid-gateway[ble]'"
        )
    if isinstance(error, TransportSpecError | ValueError):
        return DriverConfigError(f"{address} cannot be read: {error}")
    if isinstance(error, TransportInitError | OSError):
        return DriverLost(f"{address} cannot be opened: {error}")
    return DriverLost(f"{address} cannot be opened: {type(error).__name__}: {error}")


def _held(address: str, holders: list[str], resolved: str) -> DriverConfigError:
    by = " and ".join(holders) or "another program"
    if address.startswith("serial:"):
        fix = "stop it; ModemManager leaves a port alone with the udev property ID_MM_DEVICE_IGNORE=1"
    else:
        which = f"--index {resolved.rpartition(':')[2]} " if resolved.startswith("hci-socket:") else ""
        fix = (
            f"sudo systemctl disable --now bluetooth, then sudo btmgmt {which}power off "
            "(one program alone may use the adapter), or give the gateway a dongle of its own"
        )
    return DriverConfigError(f"{address} is in use (EBUSY), held by {by}", fix=fix)


def _permission(address: str) -> str:
    if address.startswith("serial:"):
        return "add the gateway's user to the group dialout"
    if address.startswith("usb:"):
        return "add a udev rule that gives the dongle to the group of the gateway's user"
    return "give the service AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW"


def _errno_of(error: BaseException) -> int | None:
    """pyserial wraps the number, libusb names it."""
    number = getattr(error, "errno", None)
    if isinstance(number, int):
        return number
    named = {"USBErrorBusy": errno.EBUSY, "USBErrorAccess": errno.EACCES, "USBErrorNoDevice": errno.ENODEV}
    return named.get(type(error).__name__)


def running_holders(proc: Path = Path("/proc")) -> list[str]:
    """Which of :data:`HOLDERS` run here."""
    running = set()
    for comm in proc.glob("[0-9]*/comm"):
        try:
            running.add(comm.read_text().strip())
        except OSError:
            continue  # that process has just ended
    return [name for name in HOLDERS if name[:15] in running]


def _watch_reads(source: Any) -> None:
    """bumble's HCI socket lets ENODEV out of the reader, so that an unplugged dongle spins the loop."""
    descriptor = source.socket.fileno()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, guarded_read(source, lambda: loop.remove_reader(descriptor)))


def guarded_read(source: Any, stop: Callable[[], object]) -> Callable[[], None]:
    """``source``'s own reading, ended at the first OSError, which means that the device is gone."""

    def read() -> None:
        try:
            source.recv_until_would_block()
        except OSError:
            stop()
            source.on_transport_lost()

    return read
