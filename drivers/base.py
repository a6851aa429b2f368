"""What a driver promises: frames, transmit requests, and three separate capabilities.

A driver implements the protocols it can honour and no others::

    async with SomeDriver(settings, clock=clock) as radio:
        async for frame in radio.frames():          # Receiver; ends only because we closed it
            receipt = await radio.transmit(request)  # Transmitter

The contract (run over every driver by ``tests/contract``):

* No I/O in ``__init__``. ``__aenter__`` opens, ``__aexit__`` closes; closing twice is harmless.
* ``frames()`` may be iterated once per opening. It ends only when the driver is closed by us; a vanished
  device raises :class:`drivers.errors.DriverLost` out of it.
* Frames wait in a bounded queue. When it is full the *newest* frame is dropped and counted under
  ``queue_full``: what is already inside is older and nearer to its answer window. What nobody took before
  we closed is counted under ``untaken``, unless the next opening hands it out; its sender, who was promised
  nothing, sends again.
* ``transmit()`` raises :class:`drivers.errors.TransmitRefused` for this frame only.
* ``stats()`` is cheap, never blocks and may be called at any time, also after closing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraUplink:
    """How a LoRa or FSK frame was heard.

    ``counter_us`` is the concentrator's 1 MHz counter at the *end* of the uplink, unwrapped by nobody:
    32 bits for a packet forwarder, linear where the driver itself widens it. Downlinks quote it back.
    """

    frequency_hz: int
    spreading_factor: int  # 7..12; 0 for FSK
    bandwidth_hz: int
    coding_rate: str  # "4/5" .. "4/8"; "" for FSK
    counter_us: int
    rssi_dbm: float
    snr_db: float
    channel: int  # IF chain 0..9
    concentrator: str  # which of several: the forwarder's EUI, or the device's address
    airtime_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame as it came from the air: payload and how it was heard.

    ``peer`` is a stable text for whoever sent it as the radio knows it (an IP address, a BLE address, a
    phone number, a forwarder's EUI); it is a claim, never an identity. ``reply_to`` is opaque outside the
    driver: hand it back in a :class:`TxRequest` to answer over the same path. ``received_unix_ns`` is the
    host's wall clock, or the radio's own UTC when ``utc_from_radio``.
    """

    radio: str  # the configured name of the radio
    payload: bytes
    peer: str
    received_unix_ns: int
    reply_to: object = None
    lora: LoraUplink | None = None
    utc_from_radio: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraDownlink:
    """How to send a LoRa frame. ``counter_us`` None means at once; IQ is inverted for devices."""

    frequency_hz: int
    spreading_factor: int
    bandwidth_hz: int
    coding_rate: str = "4/5"
    power_dbm: float = 14.0  # EIRP, before the antenna's gain is subtracted
    counter_us: int | None = None
    invert_iq: bool = True
    preamble: int = 8
    no_crc: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TxRequest:
    """A payload to send. ``priority`` 0 is highest: answers before notices."""

    payload: bytes
    reply_to: object = None
    lora: LoraDownlink | None = None
    priority: int = 1
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TxReceipt:
    """The radio took the frame (and, where it can tell, sent it).

    ``confirmed`` is False where the protocol has no word for "sent" (an old packet forwarder, a write
    without response).
    """

    airtime_us: int = 0
    confirmed: bool = True
    counter_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """Where and when: degrees WGS84, metres above the ellipsoid, UTC in Unix nanoseconds."""

    latitude_deg: float | None
    longitude_deg: float | None
    altitude_m: float | None
    unix_ns: int | None
    satellites: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFigures:
    """One channel at one spreading factor (0: FSK) since opening; levels are running means."""

    channel: int
    frequency_hz: int
    spreading_factor: int
    frames: int = 0
    crc_errors: int = 0
    rssi_dbm: float = 0.0
    snr_db: float = 0.0
    airtime_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverStats:
    """Counters since opening (monotonic) and gauges (now), for the metrics page and ``status``.

    ``frames`` counts by outcome (``ok``, ``crc_bad``, ``queue_full``, ``malformed`` …); ``transmits`` by
    outcome (``sent``, a :class:`TransmitRefused` reason, or ``withdrawn`` by whoever asked). ``gauges`` are
    named with their unit; where all that are named ``*_reachable`` are 0, the radio is open and nobody can
    be heard. ``channels`` is empty where the radio has none.
    """

    frames: Mapping[str, int] = field(default_factory=dict)
    transmits: Mapping[str, int] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    channels: Sequence[ChannelFigures] = ()


@runtime_checkable
class Driver(Protocol):
    """What every driver is: opened, closed, and willing to be counted."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def stats(self) -> DriverStats: ...


@runtime_checkable
class Receiver(Driver, Protocol):
    """Hears frames."""

    def frames(self) -> AsyncIterator[Frame]: ...


@runtime_checkable
class Transmitter(Driver, Protocol):
    """Sends frames; one request at a time a caller, many callers at once."""

    async def transmit(self, request: TxRequest) -> TxReceipt: ...


@runtime_checkable
class Notifier(Protocol):
    """Can tell a peer, while it is there, what it did not ask for, at no cost to speak of."""

    async def notify(self, request: TxRequest) -> TxReceipt:
        """As ``transmit``, to whoever ``reply_to`` came from; it waits behind answers."""
        ...


@runtime_checkable
class Acknowledger(Protocol):
    """Keeps each frame until it is told that it may go, else delivers it again after the next opening."""

    async def settled(self, frame: Frame) -> None:
        """The gateway keeps what it brought, or has refused it for good. Harmless twice, or when closed."""
        ...


@runtime_checkable
class Announcer(Protocol):
    """Shows facts about the gateway to whoever comes near, before anything is exchanged."""

    def announce(self, facts: Mapping[str, bytes]) -> None:
        """From now on these; names not given keep their value. May be called before opening.

        ``beacon``, the signed device message, and ``checkpoint``, a C2SP note: at most 512 bytes each;
        ``key``: 32 bytes; ``hint``: at most 20 bytes, for who only decides whether to connect; ``clock``:
        9 bytes, milliseconds to add to the host's clock, signed, and the quality of that time.
        Raises :class:`ValueError` for another name or a value too long.
        """
        ...


class GatewayLink(Protocol):
    """A way to one other gateway while it is in range: whole messages, both ways, each way in order."""

    @property
    def gateway_id(self) -> str:
        """What it calls itself: a claim."""
        ...

    async def send(self, message: bytes) -> None:
        """Returns when the other side has all of it. Raises :class:`drivers.errors.TransmitRefused`:
        ``no_route`` (out of range), ``size``, ``queue_full`` (here or there)."""
        ...

    def messages(self) -> AsyncIterator[bytes]:
        """What the other side sends; may be iterated once; ends when the link does. While nobody takes them,
        the other side is told to wait."""
        ...


@runtime_checkable
class GatewayLinks(Protocol):
    """Finds other gateways by itself, and is found by them; which of two dials is settled by their ids."""

    def links(self) -> AsyncIterator[GatewayLink]:
        """Each new link, whoever dialled. While nobody iterates, none is made. Ends when the driver is closed
        or lost."""
        ...


@runtime_checkable
class Reopenable(Protocol):
    """Keeps what it holds over a loss: open the same object again rather than build another."""

    reopens: Literal[True]


@runtime_checkable
class Locator(Driver, Protocol):
    """Knows where and when it is."""

    def fixes(self) -> AsyncIterator[Fix]: ...


class TimeSource(Protocol):
    """Knows UTC by a concentrator's counter, as a GPS with PPS does."""

    def unix_ns_at(self, counter_us: int) -> int | None:
        """UTC of a linear counter value, or None while it is not known well enough."""
        ...


@runtime_checkable
class CounterLatch(Protocol):
    """A concentrator that latches its counter at each PPS, and stamps frames with a source's UTC."""

    async def latched_counter_us(self) -> int:
        """The linear counter at the last PPS. Raises :class:`drivers.errors.DriverLost`."""
        ...

    def use_time(self, source: TimeSource | None) -> None: ...


@runtime_checkable
class PulseClock(Locator, TimeSource, Protocol):
    """A receiver that, told where to read a latched counter, is a :class:`TimeSource` for it."""

    def use_counter(self, latched_us: Callable[[], Awaitable[int]] | None) -> None:
        """From now on pulses are paired with this counter, and what was known of another is forgotten."""
        ...


@runtime_checkable
class Broadcaster(Protocol):
    """Can send without having heard somebody first."""

    def routes(self) -> Mapping[str, object]:
        """Each transmitter there is: its name as in ``LoraUplink.concentrator`` → ``TxRequest.reply_to``."""
        ...


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """One firmware image as it stands on disk. ``problem`` None: present and right."""

    name: str
    path: Path
    sha256: str | None
    problem: str | None


@runtime_checkable
class FirmwareKeeper(Protocol):
    """A radio that needs images of its maker, which a person brings. The driver may be closed."""

    def firmware_status(self) -> Sequence[ImageStatus]:
        """Image by image; never raises for what is missing or wrong."""
        ...

    def import_firmware(self, sources: Iterable[Path]) -> Sequence[ImageStatus]:
        """Check and store what is found there. Raises :class:`drivers.errors.DriverConfigError`."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """A step of a self-test. ``verdict``: ``pass``, ``warn`` or ``fail``; ``fix`` is for the latter two."""

    name: str
    verdict: str
    seen: str
    fix: str = ""


@runtime_checkable
class SelfTesting(Protocol):
    """A radio that can examine its hardware, step by step. The driver is closed, before and after."""

    def self_test(self) -> AsyncIterator[Check]:
        """Ends after the first step without which the next make no sense."""
        ...


class Clock(Protocol):
    """The two clocks a driver may read; passed in, so that tests own time."""

    def monotonic(self) -> float:
        """Seconds, never going back."""
        ...

    def unix_ns(self) -> int:
        """The host's wall clock in nanoseconds since 1970; may be wrong and may step."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Sleep on this clock."""
        ...
