"""Fragments → messages, in spite of loss, forgery and flood; no radio, no clock.

After SCHC ACK-on-Error (RFC 8724 section 8.4.3): fragments may come in any order and more than once, a
bitmap says which are missing, and silence means nothing. What is ours: the transfer's id is the hash of the
content, so a message proves itself whole, and a forged fragment only adds a *candidate* to its slot.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, product

from gateway.core.lora.frames import xid_of

MAX_CANDIDATES = 3  # texts kept for one slot
MAX_COMBINATIONS = 256  # joined and hashed for one fragment that arrives
MAX_JOINED_BYTES = 1 << 20  # and their bytes in sum: about 2 ms of SHA-256


@dataclass(frozen=True, slots=True, kw_only=True)
class ReassemblyLimits:
    """Bounds. Above ``message_bytes`` is refused; the others evict the transfer with the least to lose."""

    message_bytes: int = 16 * 1024
    transfers: int = 256
    transfers_per_peer: int = 192
    buffered_bytes: int = 1 << 20
    idle_s: float = 1800.0  # a device at SF12 under 1 % duty sends a fragment each 280 s


@dataclass(frozen=True, slots=True)
class Joined:
    """The message is whole."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """Held; more is missing. Bit i of ``bitmap``, least significant first: slot i is to be left alone."""

    bitmap: bytes


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A message of so many fragments of this size is above the limit; nothing was kept."""


Outcome = Joined | Progress | TooLarge


@dataclass(slots=True)
class _Candidate:
    chunk: bytes
    heard: int = 1


@dataclass(slots=True)
class _Transfer:
    xid: bytes
    total: int
    peer: str
    touched: float
    slots: dict[int, list[_Candidate]] = field(default_factory=dict)
    size: int = 0  # bytes held

    @property
    def progress(self) -> tuple[float, float]:
        """Of several under one id the furthest on: the share of filled slots, then how recently one came."""
        return len(self.slots) / self.total, self.touched

    @property
    def worth(self) -> tuple[int, float]:
        """What eviction compares: the fragments that were sent for it, then how recently one came.

        Not their share: one fragment of two would outlast nine of twenty, and cost a forger a ninth.
        """
        return len(self.slots), self.touched


class Reassembly:
    """All transfers under way. Owned by one link; nothing here outlives an hour of silence."""

    def __init__(self, limits: ReassemblyLimits | None = None) -> None:
        self._limits = limits or ReassemblyLimits()
        self._transfers: dict[tuple[bytes, int], _Transfer] = {}
        self._by_peer: Counter[str] = Counter()
        self._bytes = 0
        self.evicted = 0
        self.expired = 0

    def __len__(self) -> int:
        return len(self._transfers)

    @property
    def buffered_bytes(self) -> int:
        return self._bytes

    def add(self, xid: bytes, index: int, total: int, chunk: bytes, *, peer: str, now: float) -> Outcome:
        """Take one fragment. ``peer`` is charged for a transfer that it opens.

        Once a message is joined its transfer is forgotten: whoever calls remembers what was joined.
        """
        if len(chunk) * (total - 1) > self._limits.message_bytes or len(chunk) > self._limits.message_bytes:
            return TooLarge()
        if total == 1:
            return Joined(chunk) if xid_of(chunk) == xid else Progress(b"\x00")
        transfer = self._transfers.get((xid, total)) or self._open(xid, total, peer, now)
        transfer.touched = now
        fresh = self._keep(transfer, index, chunk)
        if fresh and (message := _joined(transfer, index, fresh, self._limits.message_bytes)) is not None:
            self._drop(transfer)
            return Joined(message)
        self._make_room(transfer)
        return Progress(_bitmap(transfer))

    def bitmap(self, xid: bytes) -> tuple[int, bytes] | None:
        """``(total, bitmap)`` of the transfer furthest on under this id; None when none is under way."""
        ours = [transfer for (held, _), transfer in self._transfers.items() if held == xid]
        best = max(ours, key=lambda transfer: transfer.progress, default=None)
        return None if best is None else (best.total, _bitmap(best))

    def expire(self, now: float) -> None:
        """Forget transfers that have been idle too long."""
        for transfer in [one for one in self._transfers.values() if now - one.touched > self._limits.idle_s]:
            self._drop(transfer)
            self.expired += 1

    def _open(self, xid: bytes, total: int, peer: str, now: float) -> _Transfer:
        if self._by_peer[peer] >= self._limits.transfers_per_peer:
            self._evict(one for one in self._transfers.values() if one.peer == peer)
        elif len(self._transfers) >= self._limits.transfers:
            self._evict(iter(self._transfers.values()))
        transfer = self._transfers[(xid, total)] = _Transfer(xid, total, peer, now)
        self._by_peer[peer] += 1
        return transfer

    def _keep(self, transfer: _Transfer, index: int, chunk: bytes) -> _Candidate | None:
        """Put a chunk into its slot; None when it was there already.

        A full slot gives up the candidate heard least often, the oldest of those: what honest devices send
        again is heard again.
        """
        slot = transfer.slots.setdefault(index, [])
        for candidate in slot:
            if candidate.chunk == chunk:
                candidate.heard += 1
                return candidate if len(slot) > 1 else None
        if len(slot) >= MAX_CANDIDATES:
            least = min(slot, key=lambda candidate: candidate.heard)
            slot.remove(least)
            self._count(transfer, -len(least.chunk))
        candidate = _Candidate(chunk)
        slot.append(candidate)
        self._count(transfer, len(chunk))
        return candidate

    def _make_room(self, latest: _Transfer) -> None:
        while self._bytes > self._limits.buffered_bytes and len(self._transfers) > 1:
            self._evict(one for one in self._transfers.values() if one is not latest)

    def _evict(self, transfers: Iterator[_Transfer]) -> None:
        self._drop(min(transfers, key=lambda transfer: transfer.worth))
        self.evicted += 1

    def _drop(self, transfer: _Transfer) -> None:
        del self._transfers[(transfer.xid, transfer.total)]
        self._bytes -= transfer.size
        self._by_peer[transfer.peer] -= 1
        if not self._by_peer[transfer.peer]:
            del self._by_peer[transfer.peer]

    def _count(self, transfer: _Transfer, size: int) -> None:
        transfer.size += size
        self._bytes += size


def _joined(transfer: _Transfer, index: int, latest: _Candidate, max_bytes: int) -> bytes | None:
    """The message, if some choice of candidates hashes to the id; only choices with the latest are new."""
    if len(transfer.slots) < transfer.total:
        return None
    slots = [sorted(transfer.slots[i], key=lambda c: -c.heard) for i in range(transfer.total)]
    slots[index] = [latest]
    size = sum(max(len(c.chunk) for c in slot) for slot in slots)
    tries = max(1, min(MAX_COMBINATIONS, MAX_JOINED_BYTES // size))
    for choice in islice(product(*slots), tries):
        message = b"".join(candidate.chunk for candidate in choice)
        if len(message) <= max_bytes and xid_of(message) == transfer.xid:
            return message
    return None


def _bitmap(transfer: _Transfer) -> bytes:
    """Slots to be left alone. All filled and nothing hashes right: ask again for those in doubt, or all."""
    settled = set(transfer.slots)
    if len(settled) == transfer.total:
        settled = {index for index, slot in transfer.slots.items() if len(slot) == 1}
        if len(settled) == transfer.total:
            settled = set()
    bits = sum(1 << index for index in settled)
    return bits.to_bytes(math.ceil(transfer.total / 8), "little")
