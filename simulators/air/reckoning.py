"""From the air's log alone: which messages could have been completed, and whether half duplex was kept."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from simulators.air.air import Flight, Log
from simulators.concentrator.air import Emission
from simulators.lora.frames import DATA, LISTENING, PROPRIETARY

IDLE_US = 30 * 60 * 1_000_000
"""A transfer of which nothing was heard for so long is forgotten (docs/protocol/lora.md)."""

Transfer = tuple[str, bytes, int]  # handset, transfer id, number of fragments


def completed(log: Log) -> set[bytes]:
    """Ids of the transfers of which each fragment got through at some time within the device's tries."""
    emissions = sorted(log.emissions, key=lambda one: one.start_us)
    held: dict[Transfer, set[int]] = {}
    last_us: dict[Transfer, int] = {}
    whole: set[bytes] = set()
    for flight in log.flights:
        if (fragment := _fragment(flight)) is None or not _arrived(flight, emissions):
            continue
        transfer, index = fragment
        at_us = flight.signal.end_us
        if at_us - last_us.get(transfer, at_us) > IDLE_US:
            held[transfer] = set()
        last_us[transfer] = at_us
        have = held.setdefault(transfer, set())
        have.add(index)
        if len(have) == transfer[2]:
            whole.add(transfer[1])
    return whole


def heard_while_sending(log: Log) -> int:
    """Uplinks that the gateway heard although it was sending: must be none."""
    emissions = sorted(log.emissions, key=lambda one: one.start_us)
    return sum(flight.outcome == "heard" and _deaf(flight, emissions) for flight in log.flights)


def deaf_to(log: Log) -> int:
    """Uplinks that were lost because the gateway was sending."""
    emissions = sorted(log.emissions, key=lambda one: one.start_us)
    return sum(flight.reached and _deaf(flight, emissions) for flight in log.flights)


def _arrived(flight: Flight, emissions: Sequence[Emission]) -> bool:
    return flight.reached and not _deaf(flight, emissions)


def _deaf(flight: Flight, emissions: Sequence[Emission]) -> bool:
    """Emissions do not overlap each other, so the last that began before the flight's end decides."""
    n = bisect_left(emissions, flight.signal.end_us, key=lambda one: one.start_us)
    return n > 0 and emissions[n - 1].end_us > flight.signal.start_us


def _fragment(flight: Flight) -> tuple[Transfer, int] | None:
    frame = flight.payload
    if len(frame) < 9 or frame[0] != PROPRIETARY or frame[1] & ~LISTENING != DATA:
        return None
    return (flight.handset, frame[2:6], frame[7]), frame[6]
