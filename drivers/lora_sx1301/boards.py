"""Board presets: what is wired and how the channels lie, as plain data.

Two transmit gain tables are in circulation for the RAK2245. ``"rak_2019"`` is the file RAK published with the
board in 2019 (ChirpStack ships it too); ``"rak_current"`` is what RAK's installer writes today for the same
board. Neither source explains the difference. The default is ``rak_current``, the maker's later word; keep
``rak_2019`` where a site was measured and approved with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.errors import DriverConfigError

DAC_GAIN = 3  # the calibration image assumes it


@dataclass(frozen=True, slots=True)
class TxGain:
    """One entry of the gain table: output in dBm and the four gains that make it."""

    power_dbm: int
    pa: int
    mix: int
    digital: int

    @property
    def code(self) -> int:
        """The byte the AGC's table holds: mixer, DAC and amplifier gain."""
        return self.mix | DAC_GAIN << 4 | self.pa << 6


@dataclass(frozen=True, slots=True)
class Channel:
    """An IF chain: its radio (0 = A, 1 = B) and its offset from that radio's centre."""

    radio: int
    offset_hz: int


@dataclass(frozen=True, slots=True)
class StandardChannel(Channel):
    """The single-SF LoRa modem."""

    bandwidth_hz: int
    spreading_factor: int


@dataclass(frozen=True, slots=True)
class FskChannel(Channel):
    """The FSK modem; bandwidth 125, 250 or 500 kHz."""

    bandwidth_hz: int
    bit_rate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One board on one channel plan. ``rssi_offset_db`` corrects both radios alike."""

    name: str
    plan: str
    clock_source: int  # the radio whose crystal drives the concentrator
    tx_radios: tuple[bool, bool]
    rssi_offset_db: float
    centre_hz: tuple[int, int]
    multi: tuple[Channel, ...]  # the eight 125 kHz chains, SF7 to SF12
    standard: StandardChannel | None
    fsk: FskChannel | None
    gains: tuple[TxGain, ...]

    def channel(self, if_chain: int) -> Channel | None:
        """The channel of IF chain 0..9 (8 standard LoRa, 9 FSK); None where none is set."""
        chains: tuple[Channel | None, ...] = (*self.multi, self.standard, self.fsk)
        return chains[if_chain] if 0 <= if_chain < len(chains) else None

    def frequency_hz(self, if_chain: int) -> int:
        """Radio centre plus offset as configured, not the quantised register. KeyError if not set."""
        channel = self.channel(if_chain)
        if channel is None:
            raise KeyError(if_chain)
        return self.centre_hz[channel.radio] + channel.offset_hz

    @property
    def radio_select(self) -> int:
        """The byte that gives each multi-SF chain its radio, one bit a chain."""
        return sum(channel.radio << n for n, channel in enumerate(self.multi))


def _gains(text: str) -> tuple[TxGain, ...]:
    """``dBm:pa/mix/digital`` entries, lowest power first."""
    entries = [entry.split(":") for entry in text.split()]
    return tuple(TxGain(int(power), *map(int, gains.split("/"))) for power, gains in entries)


GAIN_TABLES = {
    ("EU868", "rak_2019"): _gains(
        "-6:0/11/0 -3:0/14/0 0:1/9/0 3:1/11/0 6:2/8/0 10:2/10/0 11:2/11/0 12:2/11/0"
        " 13:2/12/0 14:2/12/0 16:3/8/0 20:3/10/0 23:3/12/0 25:3/13/0 26:3/14/0 27:3/15/0"
    ),
    ("US915", "rak_2019"): _gains(
        "-6:0/8/0 -3:0/11/0 0:0/14/0 3:1/8/0 6:1/10/0 10:1/14/0 11:2/8/0 12:2/8/0"
        " 13:2/9/0 14:2/10/0 16:2/11/0 20:3/8/0 23:3/9/0 25:3/11/0 26:3/13/0 27:3/14/0"
    ),
    ("EU868", "rak_current"): _gains(
        "-6:0/9/0 -3:0/12/0 0:0/15/0 3:1/8/1 6:1/9/0 10:1/11/0 11:1/12/1 12:1/12/0"
        " 13:2/11/1 14:2/11/0 16:3/8/1 20:3/8/0 23:3/12/1 25:3/13/0 26:3/13/0 27:3/13/0"
    ),
    ("US915", "rak_current"): _gains(
        "-6:0/9/0 -3:0/11/0 0:0/15/0 3:1/8/0 6:1/10/0 10:1/13/1 11:1/14/0 12:2/10/0"
        " 13:2/10/0 14:2/11/1 16:2/12/0 20:3/9/1 23:3/11/1 25:3/12/1 26:3/13/1 27:3/13/0"
    ),
}


def _channels(radio: int, *offsets_khz: int) -> tuple[Channel, ...]:
    return tuple(Channel(radio, offset * 1000) for offset in offsets_khz)


@dataclass(frozen=True, slots=True)
class Plan:
    """How the ten IF chains lie: the radios' centres and each chain's place."""

    centre_hz: tuple[int, int]
    multi: tuple[Channel, ...]
    standard: StandardChannel | None
    fsk: FskChannel | None


PLANS = {
    "EU868": Plan(
        (867_500_000, 868_500_000),
        (*_channels(1, -400, -200, 0), *_channels(0, -400, -200, 0, 200, 400)),
        StandardChannel(1, -200_000, 250_000, 7),
        FskChannel(1, 300_000, 125_000, 50_000),
    ),
    # Sub-band 2: channels 8 to 15 at 125 kHz and channel 65 at 500 kHz.
    "US915": Plan(
        (904_300_000, 905_000_000),
        (*_channels(0, -400, -200, 0, 200), *_channels(1, -300, -100, 100, 300)),
        StandardChannel(0, 300_000, 500_000, 8),
        None,
    ),
}


def rak2245(plan: str, gain_table: str = "rak_current") -> Board:
    """RAK2245 Pi HAT (the RAK831 and RAK7243 are wired alike): clock from radio B, transmitter on radio A.

    Raises :class:`DriverConfigError` for a plan or a table that is not known.
    """
    if plan not in PLANS:
        raise DriverConfigError(f"no channel plan {plan!r}", fix=f"use one of {', '.join(PLANS)}")
    if (plan, gain_table) not in GAIN_TABLES:
        known = ", ".join(table for region, table in GAIN_TABLES if region == plan)
        raise DriverConfigError(f"no gain table {gain_table!r} for {plan}", fix=f"use one of {known}")
    lanes = PLANS[plan]
    return Board(
        name="RAK2245",
        plan=plan,
        clock_source=1,
        tx_radios=(True, False),
        rssi_offset_db=-166.0,
        centre_hz=lanes.centre_hz,
        multi=lanes.multi,
        standard=lanes.standard,
        fsk=lanes.fsk,
        gains=GAIN_TABLES[plan, gain_table],
    )
