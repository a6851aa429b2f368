"""SX1301 driver: a concentrator on SPI as receiver and transmitter.

Three tasks, one chip::

    poll      each 10 ms under traffic, else 20, then 40 ms: FIFO → frames, in a bounded queue
    transmit  just in time onto the chip's counter (``transmitter``)
    watch     version, gain control, registers, counter, silence (``watchdog``): soft reset, then by the pin

The chip is deaf while it sends; the gauge ``deaf_s`` says for how long in all. A reset takes about 3 s, in
which frames already read stay in the queue and nothing can be sent. What no reset cures leaves ``frames()``
as :class:`DriverLost`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drivers.airtime import fsk_airtime_us, lora_airtime_us
from drivers.base import (
    Check,
    Clock,
    DriverStats,
    Frame,
    ImageStatus,
    LoraUplink,
    TimeSource,
    TxReceipt,
    TxRequest,
)
from drivers.errors import DriverConfigError, DriverLost, TransmitRefused
from drivers.lora_sx1301.concentrator import Concentrator
from drivers.lora_sx1301.firmware import Firmware, FirmwareRejected
from drivers.lora_sx1301.images import IMPORT_COMMAND, firmware_status, import_firmware, load_firmware
from drivers.lora_sx1301.receive import Crc, FifoGarbled, Packet, Reception, correct
from drivers.lora_sx1301.selftest import self_test
from drivers.lora_sx1301.settings import parse_settings
from drivers.lora_sx1301.tally import Tally
from drivers.lora_sx1301.transmitter import TransmitQueue
from drivers.lora_sx1301.watchdog import Silence, Vitals, judge

log = logging.getLogger(__name__)

QUEUE_DEPTH = 256  # frames not yet taken; the newest is dropped when full
BUSY_S, QUIET_S, IDLE_S = 0.010, 0.020, 0.040
BUSY_FOR_S, IDLE_AFTER_S = 0.5, 5.0  # after the last frame
GARBLED_LIMIT = 5  # impossible FIFO heads in a row before the chip is reset
SUSPECT_LIMIT = 2  # bad vitals in a row: a single one may be a bit error on the bus
SOFT_RESET_TRUST_S = 120.0  # trouble sooner after a soft reset calls for the pin
OUTCOMES = {Crc.BAD: "crc_bad", Crc.MISSING: "crc_missing", Crc.UNKNOWN: "malformed"}


class Sx1301Driver:
    """A RAK2245 or a board wired like it. Settings: ``settings.Settings``."""

    def __init__(self, name: str, settings: Mapping[str, Any], *, clock: Clock) -> None:
        self._name, self._clock = name, clock
        self._settings = parse_settings(settings)
        self._queue: deque[Frame] = deque()
        self._arrived = asyncio.Event()
        self._concentrator: Concentrator | None = None
        self._transmitter = TransmitQueue(self._settings, clock)
        self._time: TimeSource | None = None
        self._tally = Tally()
        self._silence = Silence(self._settings.silence_s)
        self._tasks: list[asyncio.Task[None]] = []
        self._sender: asyncio.Task[None] | None = None
        self._failure: DriverLost | None = None
        self._closed = True
        self._resets = {"soft": 0, "hard": 0}
        self._last_soft_s = float("-inf")
        self._most_packets = 0
        self._note = ""
        self._tending = asyncio.Lock()  # one task at a time polls, examines or resets

    # -- life

    async def __aenter__(self) -> Self:
        self._concentrator = Concentrator(self._settings, self._clock)
        try:
            await self._concentrator.open()
            await self._concentrator.start(await self._load_firmware())
        except BaseException:
            await self._concentrator.close()
            raise
        self._closed, self._failure = False, None
        self._queue.clear()  # the counter begins anew: what waits from before could not be answered
        self._note = self._describe(self._concentrator)
        log.info("%s: %s", self._name, self._note)
        self._start_sending(self._concentrator)
        self._tasks = [
            asyncio.create_task(self._guard(self._poll, self._concentrator), name=f"{self._name} poll"),
            asyncio.create_task(self._guard(self._watch, self._concentrator), name=f"{self._name} watch"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self._arrived.set()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stop_sending("the driver was closed")
        if self._concentrator is not None:
            await self._concentrator.close()

    async def _load_firmware(self) -> Firmware:
        settings = self._settings
        return await asyncio.to_thread(load_firmware, settings.firmware, settings.firmware_sha256)

    def _describe(self, concentrator: Concentrator) -> str:
        board = self._settings.board
        text = f"{board.name} {board.plan} at {self._settings.spi}, {concentrator.clock_hz / 1e6:g} MHz"
        warnings = concentrator.calibration.warnings if concentrator.calibration else ()
        return "; ".join((text, *warnings))

    async def _guard(self, work: Callable[[Concentrator], Awaitable[None]], chip: Concentrator) -> None:
        """A task of ours: its end is the driver's failure, told through ``frames()``."""
        try:
            await work(chip)
        except DriverLost as error:
            self._fail(error)
        except Exception as error:  # a bug of ours must end in a restart, not in silence
            log.exception("%s: unexpected failure", self._name)
            self._fail(DriverLost(f"{type(error).__name__}: {error}"))

    def _fail(self, error: DriverLost) -> None:
        self._failure = self._failure or error
        self._transmitter.refuse_all(TransmitRefused("no_route", f"the concentrator is lost: {error}"))
        self._arrived.set()

    # -- receive

    async def frames(self) -> AsyncIterator[Frame]:
        """Frames with a good CRC, in order of arrival. Raises :class:`DriverLost`."""
        while True:
            while self._queue:
                yield self._queue.popleft()
            if self._closed:
                return
            if self._failure is not None:
                raise self._failure
            self._arrived.clear()
            await self._arrived.wait()

    async def _poll(self, concentrator: Concentrator) -> None:
        quiet_since_s, garbled = self._clock.monotonic(), 0
        while True:
            quiet_s = self._clock.monotonic() - quiet_since_s
            async with self._tending:
                try:
                    packets = await self._look(concentrator, quiet_s)
                    garbled = 0
                except FifoGarbled as error:
                    packets = error.before
                    garbled += 1
                    self._tally.outcomes["malformed"] += 1
                    if garbled == GARBLED_LIMIT:
                        garbled = 0
                        await self._reset(concentrator, await concentrator.look_for_chip() or str(error))
            if packets:
                quiet_since_s = self._clock.monotonic()
                self._most_packets = max(self._most_packets, len(packets))
                self._take(concentrator, packets)
            if quiet_s < IDLE_AFTER_S:
                await self._clock.sleep(BUSY_S if quiet_s < BUSY_FOR_S else QUIET_S)

    @staticmethod
    async def _look(concentrator: Concentrator, quiet_s: float) -> list[Packet]:
        """The FIFO holds 16 packets or 1,024 bytes, 184 ms of full load; traffic does not begin with that."""
        return await (concentrator.poll() if quiet_s < IDLE_AFTER_S else concentrator.poll_idle(IDLE_S))

    def _take(self, concentrator: Concentrator, packets: list[Packet]) -> None:
        for packet in packets:
            self._silence.heard(self._clock.monotonic())
            reception = correct(packet, self._settings.board)
            if reception is None:
                self._tally.outcomes["malformed"] += 1
            else:
                self._sort(concentrator, reception)

    def _sort(self, concentrator: Concentrator, reception: Reception) -> None:
        """Good frames into the queue; the others into their count."""
        packet = reception.packet
        channel = self._tally.channel(packet.if_chain, reception.frequency_hz, packet.spreading_factor)
        if packet.crc is not Crc.OK:
            self._tally.outcomes[OUTCOMES[packet.crc]] += 1
            channel.crc_errors += packet.crc is Crc.BAD
            return
        frame = self._frame(concentrator, reception)
        channel.add(reception.rssi_dbm, packet.snr_db, frame.lora.airtime_us if frame.lora else 0)
        if len(self._queue) >= QUEUE_DEPTH:
            self._tally.outcomes["queue_full"] += 1
            return
        self._tally.outcomes["ok"] += 1
        self._queue.append(frame)
        self._arrived.set()

    def _frame(self, concentrator: Concentrator, reception: Reception) -> Frame:
        packet = reception.packet
        counter_us = concentrator.widen(reception.counter_us)
        utc_ns = None if self._time is None else self._time.unix_ns_at(counter_us)
        age_us = max(0, concentrator.now_us - counter_us)
        return Frame(
            radio=self._name,
            payload=packet.payload,
            peer=self._settings.spi,
            received_unix_ns=self._clock.unix_ns() - age_us * 1000 if utc_ns is None else utc_ns,
            utc_from_radio=utc_ns is not None,
            lora=LoraUplink(
                frequency_hz=reception.frequency_hz,
                spreading_factor=packet.spreading_factor,
                bandwidth_hz=reception.bandwidth_hz,
                coding_rate=packet.coding_rate,
                counter_us=counter_us,
                rssi_dbm=reception.rssi_dbm,
                snr_db=packet.snr_db,
                channel=packet.if_chain,
                concentrator=self._settings.spi,
                airtime_us=self._airtime_us(reception),
            ),
        )

    def _airtime_us(self, reception: Reception) -> int:
        packet, fsk = reception.packet, self._settings.board.fsk
        if packet.spreading_factor == 0:
            return 0 if fsk is None else fsk_airtime_us(len(packet.payload), bit_rate=fsk.bit_rate)
        return lora_airtime_us(
            len(packet.payload),
            spreading_factor=packet.spreading_factor,
            bandwidth_hz=reception.bandwidth_hz,
            coding_rate=packet.coding_rate,
        )

    # -- transmit

    async def transmit(self, request: TxRequest) -> TxReceipt:
        """Send at ``lora.counter_us`` (linear, as in :class:`LoraUplink`), or as soon as possible.

        Returns when the frame has left. Raises :class:`TransmitRefused`.
        """
        concentrator = self._concentrator
        if concentrator is None or self._closed or self._failure is not None or self._sender is None:
            raise TransmitRefused("no_route", "the concentrator is closed, lost or being reset")
        return await self._transmitter.transmit(concentrator, request)

    def _start_sending(self, concentrator: Concentrator) -> None:
        work = self._guard(self._transmitter.run, concentrator)
        self._sender = asyncio.create_task(work, name=f"{self._name} transmit")

    async def _stop_sending(self, reason: str) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
        self._transmitter.refuse_all(TransmitRefused("no_route", reason))

    # -- watch

    async def _watch(self, concentrator: Concentrator) -> None:
        before: Vitals | None = None
        suspicions = 0
        while True:
            await self._clock.sleep(self._settings.watchdog_s / (4 if suspicions else 1))
            async with self._tending:
                vitals = await concentrator.vitals()
                trouble = judge(before, vitals)
                suspicions = suspicions + 1 if trouble else 0
                if trouble and suspicions < SUSPECT_LIMIT:
                    continue
                trouble = trouble or self._silence.judge(vitals.at_s)
                before = None if trouble else vitals
                if trouble:
                    suspicions = 0
                    await self._reset(concentrator, trouble)

    async def _reset(self, concentrator: Concentrator, reason: str) -> None:
        """Soft; by the pin where that was just tried. Raises :class:`DriverLost` when neither helps."""
        now_s = self._clock.monotonic()
        hard = now_s - self._last_soft_s < SOFT_RESET_TRUST_S or self._silence.persists
        log.warning("%s: %s; %s reset", self._name, reason, "hard" if hard else "soft")
        await self._stop_sending(f"the concentrator is reset: {reason}")
        if not hard:
            self._last_soft_s = now_s
            hard = not await self._try_soft(concentrator)
        if hard:
            self._resets["hard"] += 1
            await concentrator.restart(hard=True)
        self._silence.reset_done(self._clock.monotonic())
        self._note = f"{self._describe(concentrator)}; last reset: {reason}"
        self._start_sending(concentrator)

    async def _try_soft(self, concentrator: Concentrator) -> bool:
        self._resets["soft"] += 1
        try:
            await concentrator.restart(hard=False)
        except DriverLost as error:
            log.warning("%s: soft reset failed: %s", self._name, error)
            return False
        return True

    def routes(self) -> Mapping[str, object]:
        """The one transmitter, while the chip is set up."""
        return {} if self._sender is None else {self._settings.spi: None}

    # -- before it is opened

    def firmware_status(self) -> Sequence[ImageStatus]:
        """The three images in the configured folder."""
        return firmware_status(self._settings.firmware, self._settings.firmware_sha256)

    def import_firmware(self, sources: Iterable[Path]) -> Sequence[ImageStatus]:
        """Find, check and store the three images. Raises :class:`DriverConfigError`."""
        folder = self._settings.firmware
        try:
            return import_firmware(sources, folder, self._settings.firmware_sha256)
        except FirmwareRejected as error:
            raise DriverConfigError(str(error), fix=IMPORT_COMMAND) from error
        except OSError as error:
            raise DriverConfigError(
                f"{error.filename or folder}: {error.strerror}",
                fix="run it as a user who may read the sources and write there, such as by sudo",
            ) from error

    def self_test(self) -> AsyncIterator[Check]:
        """Images, SPI, reset, version, burst, start (PLL, calibration), counter."""
        return self_test(self._settings, self._clock)

    # -- time and figures

    async def latched_counter_us(self) -> int:
        """The linear counter at the last PPS, for a time reference. Raises :class:`DriverLost`."""
        if self._concentrator is None:
            raise DriverLost("the concentrator is closed")
        return await self._concentrator.latched_us()

    def use_time(self, source: TimeSource | None) -> None:
        """Stamp frames with this source's UTC while it has one."""
        self._time = source

    def stats(self) -> DriverStats:
        """Frames and transmits by outcome; gauges in the unit of their name."""
        untaken = {"untaken": len(self._queue)} if self._closed and self._queue else {}
        return DriverStats(
            frames=dict(self._tally.outcomes) | untaken,
            transmits=dict(self._transmitter.outcomes),
            gauges=self._gauges(),
            note=str(self._failure) if self._failure else self._note,
            channels=self._tally.rows(),
        )

    def _gauges(self) -> dict[str, float]:
        gauges = {
            "queued_frames": float(len(self._queue)),
            "most_packets_a_poll": float(self._most_packets),
            "deaf_s": self._transmitter.airtime_us / 1e6,
            "resets_soft": float(self._resets["soft"]),
            "resets_hard": float(self._resets["hard"]),
        }
        if self._concentrator is not None:
            gauges["spi_hz"] = float(self._concentrator.clock_hz)
            gauges |= self._airtime_gauges(self._concentrator.now_us)
        return gauges

    def _airtime_gauges(self, now_us: int) -> dict[str, float]:
        usage = {} if self._transmitter.ledger is None else self._transmitter.ledger.usage(now_us)
        gauges: dict[str, float] = {}
        for band, (used_us, limit_us) in usage.items():
            gauges[f"sub_band_{band}_airtime_used_s"] = used_us / 1e6
            gauges[f"sub_band_{band}_airtime_left_s"] = max(0, limit_us - used_us) / 1e6
        return gauges
