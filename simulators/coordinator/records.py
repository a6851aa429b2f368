"""The values that the coordinator's rooms hand each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum

from simulators.textbook.merkle import CompactRange
from simulators.textbook.objects import AnyObject

SNAPSHOT, TRANSACTIONS, EVIDENCE, EPOCH = 1, 2, 3, 4
"""Kinds of an entry."""


class State(IntEnum):
    """What is known of a signature inside an object."""

    UNVERIFIED = 0
    VERIFIED = 1
    INVALID = 2


class Registration(Enum):
    NEW = "new"
    SAME = "same"
    OTHER_KEY = "other key"


class Admission(Enum):
    WELCOME = "welcome"
    CLONE = "clone"


@dataclass(frozen=True, slots=True)
class Gateway:
    id: str
    key: bytes
    kind: str
    location: str
    last_seen: int
    quarantined: str | None
    received: int
    received_bytes: int
    needless: int
    repeated: int


@dataclass(frozen=True, slots=True)
class Fork:
    """Two heads signed by one gateway that cannot both be: `root` is b's at `size`, the size of a."""

    a: bytes
    b: bytes
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Origin:
    """One log as far as it is applied here."""

    n: int
    name: str
    gateway: str
    range: CompactRange
    note: bytes | None
    cosigned: bytes | None
    ordinals: int
    fork: Fork | None


@dataclass(frozen=True, slots=True)
class KeptList:
    """A snapshot's list, rebuilt: its device's key, its identities, how many differences it stands on."""

    key: bytes
    identities: tuple[bytes, ...]
    depth: int


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it is sent: without the root over its objects, which the receiver computes."""

    kind: int
    received_at: int
    quality: int
    radio: str
    count: int
    list: tuple[int | None, bytes] | None


@dataclass(frozen=True, slots=True)
class JudgedEntry:
    """An entry whose content was found to be what its leaf says."""

    leaf: int
    leaf_hash: bytes
    entry: Entry
    objects: tuple[bytes, ...]
    kept_list: KeptList | None


@dataclass(slots=True)
class Judgement:
    """States to write: of new objects, of held ones that a new key decides, and of keys (True: proven)."""

    transactions: dict[bytes, State] = field(default_factory=dict)
    receipts: dict[bytes, tuple[State, str]] = field(default_factory=dict)
    """With the receiver that its transaction names."""
    keys: dict[bytes, bool] = field(default_factory=dict)
    new: dict[bytes, tuple[bytes, AnyObject]] = field(default_factory=dict)
    """Hash to body and object, for all that was not held."""


@dataclass(frozen=True, slots=True)
class Applied:
    """One COMMIT, ready to be written."""

    origin: Origin
    range: CompactRange
    note: bytes
    cosigned: bytes
    entries: tuple[JudgedEntry, ...]
    judgement: Judgement
    received: int
    received_bytes: int
    needless: int
    at: int
