"""An upload on its way to the log: as it came, what must be known to judge it, and what is to be appended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from gateway.core.conflict import Spend
from gateway.core.merkle import Frontier
from gateway.core.wallet.tree import WalletFrontier
from gateway.core.wallet.upload import SnapshotUpload, TransactionsUpload
from gateway.core.wallet.verify import DeviceKey
from gateway.model import EntryKind, KnownConflict, Source, Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A decoded message and where it came from.

    ``fingerprint`` is the SHA-256 of the message's bytes as they came: the same bytes get the same answer
    without being judged again.
    """

    message: SnapshotUpload | TransactionsUpload
    source: Source
    fingerprint: bytes


class ObjectState(IntEnum):
    """What an object's signature was worth when it was last looked at."""

    VERIFIED = 1
    UNVERIFIED = 2  # no proven key of the signer is known
    INVALID = 3  # out of its grammar, or fits none of the signer's proven keys


STATES = {int(state): state for state in ObjectState}
"""By number; a call of the class is ten times as slow."""


class HeldObject(NamedTuple):
    """An object of the log: its ordinal, its hash, its standing, and the leaf that covers it."""

    ordinal: int
    hash: bytes
    state: ObjectState
    leaf: int


@dataclass(frozen=True, slots=True)
class HeldPlace:
    """When and where a content was logged: all that its promise states. ``index`` counts in its ``epoch``."""

    index: int
    received_at_ms: int
    quality: int
    epoch: int = 1


@dataclass(frozen=True, slots=True)
class HeldBase:
    """The first places of a device's ledger: the leaf that holds the list, and both trees over it."""

    index: int
    wallet: WalletFrontier
    identities: Frontier


class Question(NamedTuple):
    """What the verifier asks before it judges: hashes and identities in list order, 32 bytes each."""

    key: bytes | None
    identities: tuple[bytes, ...]
    receipts: tuple[bytes, ...] = ()
    signers: frozenset[str] = frozenset()
    base: tuple[int, bytes] | None = None
    snapshot: tuple[int, bytes, int] | None = None
    """Count, wallet root and timestamp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the store holds of an upload; complete for objects with an ordinal below ``horizon``."""

    horizon: int
    known: Mapping[bytes, tuple[HeldObject, ...]]
    """By identity, in the order of their ordinals."""
    receipts: Mapping[bytes, HeldObject]
    keys: Mapping[str, tuple[DeviceKey, ...]]
    base: HeldBase | None = None
    in_base: frozenset[bytes] = frozenset()
    """Those of the asked identities which the base's list holds."""
    resume: tuple[tuple[int, bytes], ...] = ()
    """Where the base asked for is not held: at most three that are, longest first."""
    snapshots: Mapping[bytes, HeldPlace] = field(default_factory=dict)
    """By header hash: the same device's snapshots of that count, root and timestamp."""
    conflicts: tuple[KnownConflict, ...] = ()
    """About asked identities."""


class EncodedObject(NamedTuple):
    """An object's hash and its bytes."""

    hash: bytes
    body: bytes


class Item(NamedTuple):
    """One place of an upload's list.

    ``transaction`` is None where its text is too long to keep: only the identity stands in the list.
    ``held`` is what was known of this identity when the facts were read. ``key`` verified it, where one did.
    ``spend`` is None where no key can ever verify it; so is ``receipt_signer``, a device number.
    """

    identity: bytes
    transaction: EncodedObject | None
    raw: bool
    state: ObjectState
    spend: Spend | None
    key: bytes | None = None
    held: tuple[HeldObject, ...] = ()
    receipt: EncodedObject | None = None
    receipt_state: ObjectState = ObjectState.UNVERIFIED
    receipt_signer: int | None = None
    receipt_held: HeldObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotDraft:
    """The header of a snapshot, and what is kept of its list so that the next upload may build on it."""

    header: EncodedObject
    count: int
    root: bytes
    timestamp_ms: int
    base: HeldBase | None
    wallet: WalletFrontier
    identities: Frontier
    held: HeldPlace | None = None
    """Where this very header stands already: then only what else is new is logged."""


class Submission(NamedTuple):
    """A judged upload, to be logged. ``proven`` are all keys proven by this upload.

    ``key`` is the uploader's; where loose transactions said none, that of one they verified under, or None.
    """

    kind: EntryKind
    radio: str
    stamp: Stamp
    key: bytes | None
    proven: frozenset[bytes]
    items: tuple[Item | int, ...]
    """A bare ordinal stands for a transaction that is held as verified, and of which nothing is new."""
    snapshot: SnapshotDraft | None
    horizon: int
    fingerprint: bytes | None = None
    """Of the message that a snapshot came in: :attr:`Upload.fingerprint`."""


class Brought(NamedTuple):
    """A snapshot of the log: its message's fingerprint, H, where it stands, how many it lists."""

    fingerprint: bytes
    content: bytes
    origin: str
    place: HeldPlace
    transactions: int


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a submission stands after its commit.

    ``contents`` are the places of its H in order: one for a snapshot, one for each loose transaction.
    ``entry`` is the new leaf, None where nothing was new. ``conflicts`` are about its payments.
    """

    contents: tuple[HeldPlace, ...]
    entry: int | None
    conflicts: tuple[KnownConflict, ...] = ()
