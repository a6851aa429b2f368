"""How much each radio, peer and device may bring: token buckets, bounded tables, the block list.

Before anything is verified only the radio and the peer are charged, for a device id can be forged: else an
attacker could use up the share of its victim. A device is charged for what its own key has verified.

A bucket holds one minute's worth. Whoever finds something left in it is let in and may overdraw it once, so
that no message is too large for its bucket for ever.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Set
from dataclasses import dataclass
from math import ceil
from typing import TypeVar

from gateway.core.refusal import Refusal, Refused
from gateway.core.wallet.snapshot import device_id

K = TypeVar("K")

MAX_PEERS = 4096
"""Peers remembered over all radios, and devices as well. The one seen longest ago is forgotten, and would
start again with a full bucket: whoever comes under many names still meets the bucket of the radio."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Messages and bytes a minute; also the burst."""

    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Rates:
    """The three limits of ``limits`` in the configuration."""

    radio: Rate
    peer: Rate
    device: Rate


class Admission:
    """Who may come in now; ``now`` is monotonic seconds. Owned by the event loop.

    ``blocked`` are device ids and public keys, in lower-case hexadecimal digits; an id blocks every key that
    goes by it.
    """

    def __init__(self, rates: Rates, *, blocked: Set[str] = frozenset()) -> None:
        self.limit(rates)
        self.block(blocked)
        self.block_told(())

    def limit(self, rates: Rates) -> None:
        """Other limits from now on; every bucket starts full."""
        self._rates = rates
        self._radios: OrderedDict[str, _Bucket] = OrderedDict()
        self._peers: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()
        self._devices: OrderedDict[bytes, _Bucket] = OrderedDict()

    def block(self, devices: Set[str]) -> None:
        """Another block list from now on."""
        self._blocked = devices

    def block_told(self, keys: Iterable[bytes]) -> None:
        """Keys that the coordinator has blocked, from now on instead of those it told before."""
        self._told = frozenset(keys)
        self._told_devices = frozenset(map(device_id, self._told))

    def arrived(self, radio: str, peer: str, size: int, now: float) -> None:
        """Charge ``size`` bytes, unverified. Raises Refused with RATE_LIMITED, and then charges nobody:
        a peer that floods does not use up what its radio leaves the others."""
        of_peer = _bucket(self._peers, (radio, peer), self._rates.peer, now)
        of_radio = _bucket(self._radios, radio, self._rates.radio, now)
        _refuse_unless_open(of_peer, now, f"too much from this peer of {radio}")
        _refuse_unless_open(of_radio, now, f"too much on {radio}")
        of_peer.take(size)
        of_radio.take(size)

    def brought(self, radio: str, peer: str, size: int, now: float) -> None:
        """Charge ``size`` bytes of a message let in before anyone knew its length; refuses nobody."""
        _bucket(self._peers, (radio, peer), self._rates.peer, now).take(size, messages=0)
        _bucket(self._radios, radio, self._rates.radio, now).take(size, messages=0)

    def claimed(self, key: bytes, now: float) -> None:
        """A message says it is of this device. Raises Refused (BLOCKED, RATE_LIMITED); charges nothing."""
        if device_id(key) in self._blocked or key.hex() in self._blocked or key in self._told:
            raise Refused(Refusal.BLOCKED, "this device is on the block list")
        bucket = self._devices.get(key)
        if bucket is not None:
            _refuse_unless_open(bucket, now, "too much from this device")

    def carried(self, device: str) -> None:
        """A message brings this device's own payment without its key. Raises Refused (BLOCKED)."""
        if device in self._blocked or device in self._told_devices:
            raise Refused(Refusal.BLOCKED, "this device is on the block list")

    def verified(self, key: bytes, size: int, now: float) -> None:
        """Charge a device for ``size`` bytes that its key has verified and that were new."""
        _bucket(self._devices, key, self._rates.device, now).take(size)


class _Bucket:
    """Tokens for messages and for bytes; negative ones are owed."""

    __slots__ = ("_at", "_bytes", "_messages", "_rate")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._messages = float(rate.messages)
        self._bytes = float(rate.bytes)
        self._at = now

    def wait_s(self, now: float) -> float:
        """Seconds until something is left; 0 when there is now."""
        self._refill(now)
        short_of_messages = (1 - self._messages) / self._rate.messages
        short_of_bytes = (1 - self._bytes) / self._rate.bytes
        return max(0.0, 60 * short_of_messages, 60 * short_of_bytes)

    def take(self, size: int, messages: int = 1) -> None:
        self._messages -= messages
        self._bytes -= size

    def _refill(self, now: float) -> None:
        minutes = max(0.0, now - self._at) / 60
        self._messages = min(self._rate.messages, self._messages + minutes * self._rate.messages)
        self._bytes = min(self._rate.bytes, self._bytes + minutes * self._rate.bytes)
        self._at = now


def _bucket(table: OrderedDict[K, _Bucket], key: K, rate: Rate, now: float) -> _Bucket:
    bucket = table.get(key)
    if bucket is None:
        if len(table) >= MAX_PEERS:
            table.popitem(last=False)
        bucket = table[key] = _Bucket(rate, now)
    table.move_to_end(key)
    return bucket


def _refuse_unless_open(bucket: _Bucket, now: float, detail: str) -> None:
    wait_s = bucket.wait_s(now)
    if wait_s > 0:
        raise Refused(Refusal.RATE_LIMITED, detail, retry_after_s=ceil(wait_s))
