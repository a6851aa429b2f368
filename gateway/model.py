"""The words that cross floors: where something came from, how far the log stands, what is asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple


class TimeQuality(IntEnum):
    """How far a time of the gateway's clock can be trusted; docs/protocol/objects.md, "Conventions"."""

    UNTRUSTED = 0
    HOST = 1
    AGREED = 2
    GPS = 3


class EntryKind(IntEnum):
    """What kind of submission a leaf stands for."""

    SNAPSHOT = 1
    TRANSACTIONS = 2
    EVIDENCE = 3
    EPOCH = 4


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment: milliseconds since 1970 UTC, and the clock's quality when it was read."""

    unix_ms: int
    quality: TimeQuality


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an upload came from; nothing here is an identity.

    ``radio`` is the configured name (at most 16 bytes, it goes into the entry), ``peer`` whatever the radio
    calls the sender. ``linger_s`` is how long a busy store may wait for company before it commits: 0.25 for
    radios whose answers are slow anyway, 0.002 for BLE and HTTP.
    """

    radio: str
    peer: str
    correlation_id: str
    linger_s: float = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Why the log stands still until a person acts."""

    what: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """Why a log goes on under the next epoch: ``why`` in a word (at most 32 bytes), ``told`` to an operator.

    ``key`` (32 bytes) is the gateway's. ``seen`` is a checkpoint of its own that the log cannot repeat, where
    there is one: the next epoch is later than that one's too.
    """

    key: bytes
    why: str
    told: Halt
    at: Stamp
    seen: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedEpoch:
    """An epoch that is over: with how many leaves at the coordinator, when (ms since 1970), and why."""

    number: int
    size: int
    ended_at_ms: int
    told: Halt
    seen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How far the log stands, is signed and is acked. Sizes count leaves; notes are C2SP checkpoints."""

    epoch: int
    origin: str
    size: int
    root: bytes
    signed_size: int
    signed_note: bytes | None
    acked_size: int
    cosigned_note: bytes | None
    halted: Halt | None = None
    begun: Halt | None = None
    """Why the epoch before this one ended, until a person has looked."""
    notices: int = 0
    """The newest of the coordinator's notices that is on disk."""


@dataclass(frozen=True, slots=True)
class ListDifference:
    """A snapshot's list as `[base, ops]`; docs/protocol/objects.md, "Lists"."""

    base: int | None
    ops: bytes


@dataclass(frozen=True, slots=True)
class LoggedObject:
    """One object an entry covers; ``body`` is None when it was pruned.

    ``identity`` is that of a transaction, verified or raw; None for every other kind.
    """

    hash: bytes
    body: bytes | None
    identity: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEntry:
    """One leaf with what it covers. ``list`` is None unless ``kind`` is a snapshot."""

    index: int
    kind: EntryKind
    objects_root: bytes
    received_at_ms: int
    quality: int
    radio: str
    list: ListDifference | None
    objects: tuple[LoggedObject, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive entries from ``start``; empty when the log ends there."""

    start: int
    entries: tuple[LoggedEntry, ...]

    @property
    def end(self) -> int:
        """The size of the log up to and including this batch."""
        return self.start + len(self.entries)


class KnownConflict(NamedTuple):
    """An evidence object, and the coordinator's newest decision about its payments (a signed notice)."""

    evidence: bytes
    decision: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentPlace:
    """Where a content H stands: its entry, the path from H to the entry's objects root, and what is known of
    conflicts among its payments. ``index`` counts in its ``epoch``; a proof is under ``cosigned``, the newest
    cosigned (size, note) of that."""

    epoch: int
    index: int
    entry: bytes
    received_at_ms: int
    quality: int
    object_index: int
    object_path: tuple[bytes, ...]
    cosigned: tuple[int, bytes] | None = None
    conflicts: tuple[KnownConflict, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """What may go once it is acked: bodies beyond the newest ``max_snapshots`` entries, or received earlier
    than ``received_before_ms`` (milliseconds since 1970; None: no bound by age). ``backed_up``: leaves of the
    present epoch that are off the device too; None: no bound by that."""

    max_snapshots: int
    received_before_ms: int | None = None
    backed_up: int | None = None


@dataclass(frozen=True, slots=True)
class Freed:
    """What one round of pruning freed; ``more`` says that another round would find work."""

    entries: int
    body_bytes: int
    file_bytes: int
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Counts since the log began, unless "since opening" is said; bytes and milliseconds where named."""

    size: int
    acked_size: int
    objects: int
    verified_transactions: int
    acked_transactions: int
    unverified_transactions: int
    invalid_transactions: int
    conflicts: int
    conflicts_pending: int
    conflicts_awaiting: int
    conflicts_resolved: int
    evidence: Mapping[str, int]
    lost_promises: int
    double_spends: int
    oldest_unacked_received_at_ms: int | None
    body_bytes: int
    unproven_bytes: int
    file_bytes: int
    pruned_entries: int
    commits_since_opening: int
    syncs_since_opening: int
    commit_seconds_since_opening: float
    write_failures_since_opening: int
    refused_since_opening: dict[str, int] = field(default_factory=dict)
