"""A radio as a service: its driver is loaded, opened and heard; one that cannot be halts only itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from drivers.base import (
    Acknowledger,
    Announcer,
    Driver,
    DriverStats,
    GatewayLinks,
    Receiver,
    Reopenable,
    Transmitter,
    TxReceipt,
    TxRequest,
)
from drivers.errors import DriverConfigError, DriverLost, TransmitRefused
from drivers.registry import load_driver
from gateway.app.place import Place
from gateway.app.witnesses import Witnesses
from gateway.config import Config, RadioSetup, radio_setups
from gateway.core.lora.link import LoraLink
from gateway.core.lora.promises import PromiseBook
from gateway.core.lora.reassembly import ReassemblyLimits
from gateway.core.lora.regions import REGIONS
from gateway.core.owed import Owed
from gateway.core.restart import gravest
from gateway.core.sms.courtesy import Courtesy
from gateway.core.vitals import LoraVitals
from gateway.services import frame_intake
from gateway.services.airtime import AirtimeBook
from gateway.services.announcing import Announcing
from gateway.services.contacts import Contacts
from gateway.services.lora_intake import LoraIntake, Notice
from gateway.services.observed import ObservedTransceiver, observed
from gateway.services.reception import Reception
from gateway.services.sms_intake import Desk, SmsIntake
from gateway.services.supervision import Service
from gateway.store import Store
from gateway.systemclock import SystemClock

log = logging.getLogger(__name__)

LORA = "lora_"
"""Drivers whose names begin so hear LoRa frames, for the LoRa link; each frame of others is a message."""

SMS = "gsm_"
"""Drivers whose names begin so bring text messages, and keep each until it is settled."""

ANSWERS_PER_HOUR = 20
"""To one number, of a modem that stands under ``radios``."""

SLOW_LINGER_S = 0.25
OTHER_LINGER_S = 0.002


class Radios:
    """Every configured radio. Drivers come and go with their services; their figures stay readable."""

    def __init__(
        self,
        config: Config,
        reception: Reception,
        witnesses: Witnesses,
        clock: SystemClock,
        sign: Callable[[bytes], bytes],
        place: Place,
        book: AirtimeBook,
        store: Store,
        owed: Owed,
        announcing: Announcing,
    ) -> None:
        self._config = config
        self._reception = reception
        self._witnesses = witnesses
        self._clock = clock
        self._place = place
        self._book = book
        self._store = store
        self._owed = owed
        self._announcing = announcing
        self._mesh: Callable[[GatewayLinks], Awaitable[None]] | None = None
        self._reopen: dict[str, Driver] = {}
        self._drivers: dict[str, Driver] = {}
        self._promises = PromiseBook(sign)
        self._setups = radio_setups(config)
        self._links = {
            setup.name: self._link(setup.name) for setup in self._setups if setup.driver.startswith(LORA)
        }

        self._texts = {
            setup.name: self._text_intake(setup.name)
            for setup in self._setups
            if setup.driver.startswith(SMS)
        }

    def linked_by(self, follow: Callable[[GatewayLinks], Awaitable[None]]) -> None:
        """Whose business links to other gateways are."""
        self._mesh = follow

    def services(self) -> Mapping[str, Service]:
        """By the radio's name."""
        return {setup.name: self._service(setup) for setup in self._setups}

    def stats(self) -> Mapping[str, DriverStats]:
        """Of every radio, also of one whose driver could not be loaded."""
        return {
            setup.name: self._drivers[setup.name].stats() if setup.name in self._drivers else DriverStats()
            for setup in self._setups
        }

    def lora(self) -> Mapping[str, LoraVitals]:
        """How the LoRa links fare."""
        now = self._clock.monotonic()
        return {
            name: LoraVitals(
                counts=dict(link.counts),
                duty_left_s=link.duty_left_s(now),
                duty_used_s=link.duty_used_s(now),
                gauges=link.gauges(now),
            )
            for name, link in self._links.items()
        }

    async def text(self, request: TxRequest) -> TxReceipt:
        """Send a text message nobody asked for. Raises TransmitRefused and DriverLost, as the driver does."""
        driver = self._drivers.get("gsm")
        if not isinstance(driver, Transmitter):
            raise TransmitRefused("no_route", "no modem is open")
        receipt = await driver.transmit(request)
        self._witnesses.sent("gsm", receipt.airtime_us)
        return receipt

    def _service(self, setup: RadioSetup) -> Service:
        async def run() -> None:
            driver = self._reopen.pop(setup.name, None) or self._built(setup)
            self._drivers[setup.name] = driver
            self._place.radio_built(driver)
            if not isinstance(driver, Receiver):
                raise DriverConfigError(
                    f"driver {setup.driver!r} hears nothing", fix="name one that receives"
                )
            try:
                await self._listen(setup.name, driver)
            except Exception as error:
                if isinstance(driver, Reopenable) and isinstance(gravest(error), DriverLost):
                    self._reopen[setup.name] = driver  # the halves of uploads in it will be asked for
                raise
            finally:
                tell_untaken(setup.name, driver)

        return run

    def _built(self, setup: RadioSetup) -> Driver:
        return load_driver(setup.driver)(setup.name, setup.settings, clock=self._clock)

    async def _listen(self, name: str, driver: Receiver) -> None:
        told, link = self._witnesses, self._links.get(name)
        radio = observed(driver, told.heard, lambda receipt: told.sent(name, receipt.airtime_us))
        if name in self._texts:
            if not isinstance(radio, ObservedTransceiver):
                raise DriverConfigError(f"{name}: a modem's driver that cannot send", fix="name one that can")
            await self._texts[name].take(radio, driver if isinstance(driver, Acknowledger) else None)
        elif link is None:
            contacts = Contacts(name, OTHER_LINGER_S, self._reception, self._store, self._owed)
            async with asyncio.TaskGroup() as tasks:
                if isinstance(driver, Announcer):
                    tasks.create_task(self._announcing.run(driver))
                if self._mesh is not None and isinstance(driver, GatewayLinks):
                    tasks.create_task(_awaited(self._mesh(driver)))
                await frame_intake.take(radio, contacts.submit, contacts)
        elif isinstance(radio, ObservedTransceiver):
            submit = self._reception.submit(name, SLOW_LINGER_S, self._promises.write)
            cover = partial(self._book.cover, name)
            notice = self._beacon()
            await LoraIntake(name, radio, link, submit, clock=self._clock, cover=cover, notice=notice).run()
        else:
            raise DriverConfigError(f"{name}: a LoRa driver that cannot send", fix="name one that can")

    def _text_intake(self, name: str) -> SmsIntake:
        """Outlives the driver: who was answered how often, and which payments a receipt may still join."""
        gsm = self._config.gsm
        desk = Desk(radio=name, gateway_id=self._config.gateway.id, linger_s=SLOW_LINGER_S)
        courtesy = Courtesy(ANSWERS_PER_HOUR if gsm is None else gsm.answers_per_hour)
        noted = self._witnesses.answered
        return SmsIntake(desk, self._reception, self._store.head, courtesy, self._clock, noted)

    def _beacon(self) -> Notice | None:
        """What the settings for downlinks that no uplink decides are for."""
        lora = self._config.lora
        if lora is None or lora.region is None or not lora.beacon_seconds:
            return None
        channel = REGIONS[lora.region].broadcast(lora.spreading_factor, lora.bandwidth * 1000)
        if channel is None:
            return None
        return Notice(float(lora.beacon_seconds), channel, self._reception.notice)

    def _link(self, name: str) -> LoraLink:
        lora, limits = self._config.lora, self._config.limits
        region = None if lora is None or lora.region is None else REGIONS[lora.region]
        link = LoraLink(
            region,
            limits=ReassemblyLimits(
                transfers=limits.radio.pending_reassemblies,
                transfers_per_peer=limits.peer.pending_reassemblies,
            ),
            power_dbm=14.0 if lora is None else lora.tx_power,
            join=self._promises.join,
            past=self._book.past(name),
        )
        self._book.keep(name, link)
        return link


async def _awaited(work: Awaitable[None]) -> None:
    """A task wants a coroutine."""
    await work


def tell_untaken(name: str, driver: Driver) -> None:
    """Into the log: the driver that counted them goes with its service, perhaps before anybody looks."""
    untaken = driver.stats().frames.get("untaken", 0)
    if untaken:
        log.warning("frames were heard and not taken", extra={"radio": name, "frames": untaken})
