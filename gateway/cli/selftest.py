"""``test-lora``: the concentrator from SPI to antenna, and GPS and PPS beside it, each line judged."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import click

from drivers.base import (
    Broadcaster,
    Check,
    CounterLatch,
    Driver,
    Fix,
    Locator,
    LoraDownlink,
    Receiver,
    SelfTesting,
    Transmitter,
    TxRequest,
)
from drivers.errors import DriverConfigError, DriverError, TransmitRefused
from drivers.registry import load_driver
from gateway.cli.checks import Screen, heard, worst
from gateway.cli.options import config_option
from gateway.cli.running import NotRunning, ask
from gateway.config import Config, RadioSetup, gps_setup, load, radio_setups
from gateway.core.lora.downlinks import Send
from gateway.core.lora.link import LoraLink
from gateway.core.lora.regions import REGIONS, Channel, Region
from gateway.core.vitals import channel_document
from gateway.errors import CommandError
from gateway.services.airtime import AirtimeBook, AirtimeUnsaved, boot_id
from gateway.systemclock import SystemClock

STOP = "stop it first (sudo systemctl stop offgrid-gateway) and start it again afterwards"
TEST_MESSAGE = b"offgrid-gateway test-lora"
LORA = "lora_"
"""Of the radios that can test themselves this command is for those that hear LoRa; `radios check` for any."""
PPS_S = 3.2  # three pulses at least
FIX_S = 5.0  # a receiver that has one says so each second


@runtime_checkable
class Tested(Driver, SelfTesting, Protocol):
    """A driver that can test its hardware."""


@click.command("test-lora")
@config_option
@click.option("--radio", "name", help="Which, where several are configured.")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(1, 3600), help="To listen.")
@click.option("--yes", is_flag=True, help="Send the one test frame without asking.")
@click.option("--json", "as_json", is_flag=True, help="For programs; asks nothing.")
def command(config_path: Path, name: str | None, seconds: float, yes: bool, as_json: bool) -> None:
    """Test the concentrator: firmware, SPI, reset, version, burst, PLL, calibration, counter; then listen.

    One frame is sent if you agree, or with --yes. GPS and PPS are looked at where they are. Exits with 1
    if anything failed. The gateway must not be running.
    """
    config, clock = load(config_path), SystemClock()
    setup, driver = _chosen(config, name, clock)
    _refuse_while_held(config, setup.name)
    emission = _emission(config)
    sends = emission is not None and (yes or (not as_json and sys.stdin.isatty() and _agreed(emission)))
    test = Test(config, setup.name, driver, clock, seconds, emission if sends else None, quiet=as_json)
    asyncio.run(test.run())
    if as_json:
        click.echo(json.dumps(test.document(), indent=2))
    else:
        click.echo(test.summary())
    if test.verdict == "fail":
        raise SystemExit(1)


def _chosen(config: Config, name: str | None, clock: SystemClock) -> tuple[RadioSetup, Tested]:
    for setup in radio_setups(config):
        if name in (None, setup.name) and setup.driver.startswith(LORA):
            driver = load_driver(setup.driver)(setup.name, setup.settings, clock=clock)
            if isinstance(driver, Tested):
                return setup, driver
    wanted = "no radio" if name is None else f"no radio {name!r}"
    raise CommandError(f"{wanted} that can test itself is configured: set lora.driver: lora_sx1301")


def _refuse_while_held(config: Config, name: str) -> None:
    try:
        service = ask(config.control_socket, "status")["services"].get(name)
    except NotRunning:
        return
    if service is not None and service["state"] != "halted":
        raise CommandError(f"the gateway is running and holds the radio {name!r}; {STOP}")


@dataclass(frozen=True, slots=True)
class Emission:
    """What is to be sent."""

    region: Region
    channel: Channel
    power_dbm: float

    def __str__(self) -> str:
        rate = self.channel.rate
        return (
            f"{self.channel.frequency_hz / 1e6:.3f} MHz, SF{rate.spreading_factor}, "
            f"{rate.bandwidth_hz // 1000} kHz, {self.power_dbm:g} dBm EIRP"
        )


def _emission(config: Config) -> Emission | None:
    """None where nothing may be sent."""
    lora = config.lora
    if lora is None or lora.region is None:
        return None
    region = REGIONS[lora.region]
    channel = region.broadcast(lora.spreading_factor, lora.bandwidth * 1000) or region.rx2
    return Emission(region, channel, region.eirp_dbm(channel.frequency_hz, lora.tx_power))


def _agreed(emission: Emission) -> bool:
    return click.confirm(f"Send one frame at {emission}? An antenna or a load must be connected")


class Test:
    """One run: its checks as they come, and what was heard."""

    def __init__(
        self,
        config: Config,
        name: str,
        driver: Tested,
        clock: SystemClock,
        seconds: float,
        emission: Emission | None,
        *,
        quiet: bool,
    ) -> None:
        self._config, self._name, self._driver, self._clock = config, name, driver, clock
        self._seconds, self._emission, self._quiet = seconds, emission, quiet
        self._screen = Screen(quiet=quiet)
        self._checks: list[Check] = []

    @property
    def verdict(self) -> str:
        """The worst of all."""
        return worst(self._checks)

    def document(self) -> dict[str, object]:
        """For programs."""
        return {
            "radio": self._name,
            "verdict": self.verdict,
            "checks": [asdict(check) for check in self._checks],
            "channels": [channel_document(one) for one in self._driver.stats().channels],
        }

    def summary(self) -> str:
        """A line."""
        counts = [f"{sum(c.verdict == v for c in self._checks)} {v}" for v in ("pass", "warn", "fail")]
        return f"{self._name}: {', '.join(counts)}"

    async def run(self) -> None:
        """All of it; what a failure makes senseless is left out."""
        gps = asyncio.create_task(self._gps())
        async for check in self._driver.self_test():
            self._tell(check)
        radio: object = self._driver
        if self.verdict != "fail" and isinstance(radio, Receiver):
            await self._on_the_air(radio)
        for check in await gps:
            self._tell(check)

    def _tell(self, check: Check) -> None:
        self._checks.append(check)
        self._screen.line(check)

    async def _on_the_air(self, radio: Receiver) -> None:
        try:
            async with radio:
                if isinstance(radio, CounterLatch):
                    self._tell(await self._pps(radio))
                if self._emission is not None and isinstance(radio, Transmitter):
                    self._tell(await self._send(radio, self._emission))
                await self._listen(radio)
        except DriverError as error:
            self._tell(Check("RX", "fail", str(error), "see docs/lora-concentrator.md"))

    async def _listen(self, radio: Receiver) -> None:
        async def hear() -> None:
            async for _ in radio.frames():
                pass

        hearing = asyncio.create_task(hear())
        over = self._clock.monotonic() + self._seconds
        while (left := over - self._clock.monotonic()) > 0 and not hearing.done():
            self._screen.table(radio.stats().channels, left)
            await self._clock.sleep(min(1.0, left))
        self._screen.table(radio.stats().channels, 0)
        if hearing.done():
            hearing.result()  # raises what ended it
        hearing.cancel()
        with suppress(asyncio.CancelledError):
            await hearing
        self._tell(heard(radio.stats().channels, self._seconds))

    async def _pps(self, radio: CounterLatch) -> Check:
        first = await radio.latched_counter_us()
        await self._clock.sleep(PPS_S)
        advanced = await radio.latched_counter_us() - first
        whole = round(advanced / 1e6)
        if whole == 0:
            fix = "the GPS needs to see the sky; without PPS frames carry the host's time"
            return Check("PPS", "warn", f"the counter latched no pulse in {PPS_S:g} s", fix)
        off_ppm = (advanced / (whole * 1e6) - 1) * 1e6
        if abs(off_ppm) > 100:
            fix = "something else than a pulse a second is on the PPS line"
            return Check("PPS", "fail", f"the counter latched {advanced} us in {PPS_S:g} s", fix)
        return Check("PPS", "pass", f"{whole} s of pulses, counted as {advanced} us ({off_ppm:+.1f} ppm)")

    async def _send(self, radio: Transmitter, emission: Emission) -> Check:
        """Through the link, so that its airtime counts for the gateway too."""
        book = AirtimeBook(self._config.storage.airtime_path, self._clock, boot_id())
        link = LoraLink(emission.region, power_dbm=emission.power_dbm, past=book.past(self._name))
        book.keep(self._name, link)
        routes = radio.routes() if isinstance(radio, Broadcaster) else {}
        where, reply_to = next(iter(routes.items()), (self._name, None))
        sends = link.broadcast(TEST_MESSAGE, emission.channel, where, reply_to, self._clock.monotonic())
        if not sends:
            return Check("TX", "fail", f"not allowed: {dict(link.counts)}", "wait until the hour has room")
        (send,) = sends
        assert isinstance(send, Send)  # noqa: S101 - a broadcast is nothing else
        try:
            await book.cover(self._name, send)
            receipt = await radio.transmit(_request(send))
        except AirtimeUnsaved as error:
            return Check("TX", "fail", f"airtime cannot be kept: {error}", "run it as the gateway's user")
        except TransmitRefused as error:
            return Check(
                "TX", "fail", f"{error.reason}: {error}", "check lora.region, tx_power and antenna_gain_dbi"
            )
        finally:
            book.close()
        return Check("TX", "pass", f"sent at {emission}, {receipt.airtime_us / 1e3:.0f} ms on the air")

    async def _gps(self) -> Sequence[Check]:
        setup = gps_setup(self._config)
        if setup is None:
            return ()
        driver = load_driver(setup.driver)(setup.name, setup.settings, clock=self._clock)
        if not isinstance(driver, Locator):
            return (Check("GPS", "fail", f"driver {setup.driver!r} tells no fixes", "set gps.driver: gps"),)
        try:
            return (await self._fix(driver),)
        except DriverError as error:
            fix = (
                error.fix
                if isinstance(error, DriverConfigError)
                else "check gps.address, gps.baud and the cable"
            )
            return (Check("GPS", "fail", str(error).removesuffix(f"; {fix}"), fix),)

    async def _fix(self, gps: Locator) -> Check:
        newest: Fix | None = None
        over = self._clock.monotonic() + FIX_S
        async with gps:
            async for newest in gps.fixes():
                if newest.latitude_deg is not None and newest.unix_ns is not None:
                    break
                if self._clock.monotonic() > over:
                    break
        if newest is None or newest.latitude_deg is None:
            return Check("GPS", "warn", "it speaks, without a fix yet", "a cold start outdoors takes minutes")
        place = f"{newest.latitude_deg:.5f}, {newest.longitude_deg:.5f}"
        return Check("GPS", "pass", f"fix at {place} with {newest.satellites} satellites")


def _request(send: Send) -> TxRequest:
    rate = send.booking.channel.rate
    return TxRequest(
        payload=send.payload,
        reply_to=send.reply_to,
        lora=LoraDownlink(
            frequency_hz=send.booking.channel.frequency_hz,
            spreading_factor=rate.spreading_factor,
            bandwidth_hz=rate.bandwidth_hz,
            power_dbm=send.power_dbm,
        ),
    )
