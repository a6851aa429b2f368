"""One batch against its rules: objects to leaves, leaves to the root, lists to the roots that were signed."""

from __future__ import annotations

from collections.abc import Sequence

from simulators.coordinator.records import (
    EPOCH,
    EVIDENCE,
    SNAPSHOT,
    TRANSACTIONS,
    Entry,
    JudgedEntry,
    KeptList,
    Origin,
)
from simulators.coordinator.store import Store
from simulators.textbook import evidence
from simulators.textbook.cbor import Malformed, encode
from simulators.textbook.ledger import wallet_root
from simulators.textbook.lists import rebuild
from simulators.textbook.merkle import CompactRange, leaf_hash, root_of_data
from simulators.textbook.objects import AnyObject, Header, Key, Proof, Raw, Receipt, Transaction, parse_object
from simulators.textbook.signing import verifies

MAX_CHAIN = 64
MAX_LIST = 1 << 20
"""Identities in one list; 32 MiB."""


def leaf_of(entry: Entry, object_hashes: Sequence[bytes]) -> bytes:
    """The leaf's hash, from the hashes of the entry's new objects."""
    root = root_of_data(object_hashes)
    fields = (entry.count, entry.received_at, entry.quality, entry.radio)
    return leaf_hash(encode([1, entry.kind, root, *fields]))


def grow(tree: CompactRange, leaves: Sequence[bytes]) -> CompactRange:
    for leaf in leaves:
        tree = tree.append(leaf)
    return tree


class Verifier:
    """Judges the content of the entries of one batch, which may refer to each other and to what is held."""

    def __init__(self, store: Store, origin: Origin, bodies: dict[bytes, bytes]) -> None:
        self._store = store
        self._origin = origin
        self._objects = {object_hash: parse_object(body) for object_hash, body in bodies.items()}
        self._covered: list[bytes] = []
        self._seen: set[bytes] = set()
        self._lists: dict[int, KeptList] = {}

    def parsed(self, object_hash: bytes) -> AnyObject:
        return self._objects[object_hash]

    def judge(self, leaf: int, hash_: bytes, entry: Entry, object_hashes: Sequence[bytes]) -> JudgedEntry:
        """Raises `Malformed` where the entry breaks a rule of docs/protocol/objects.md."""
        objects = [self._objects[one] for one in object_hashes]
        if entry.kind == SNAPSHOT:
            kept = self._snapshot(leaf, entry, objects)
        elif entry.kind == TRANSACTIONS and entry.list is None:
            _check_order(objects)
            kept = None
        elif entry.kind in (EVIDENCE, EPOCH) and entry.list is None:
            _check_evidence(leaf, entry.kind, objects)
            kept = None
        else:
            raise Malformed(f"leaf {leaf}: no entry of kind {entry.kind}, or a list that has no snapshot")
        self._cover(object_hashes)
        return JudgedEntry(leaf, hash_, entry, tuple(object_hashes), kept)

    def _snapshot(self, leaf: int, entry: Entry, objects: Sequence[AnyObject]) -> KeptList:
        header = objects[0]
        if not isinstance(header, Header) or entry.list is None:
            raise Malformed(f"leaf {leaf}: a snapshot's entry begins with its header and has a list")
        if not verifies(header.key, header.text(), header.signature):
            raise Malformed(f"leaf {leaf}: the snapshot's signature does not verify")
        base = self._base(leaf, header.key, entry.list[0])
        new = _check_order(objects[1:], header.key)
        identities = rebuild(
            entry.list[1],
            base.identities,
            new,
            self._identity_at,
            self._origin.ordinals + len(self._covered),
            min(header.count, MAX_LIST),
        )
        if len(identities) != header.count or len(set(identities)) != header.count:
            raise Malformed(f"leaf {leaf}: the list has not {header.count} different transactions")
        if root_of_data(identities) != header.list_root or wallet_root(identities) != header.root:
            raise Malformed(f"leaf {leaf}: the list does not give its roots")
        listed = set(identities)
        if any(isinstance(one, Receipt) and one.identity not in listed for one in objects):
            raise Malformed(f"leaf {leaf}: a receipt for what the list does not name")
        kept = KeptList(header.key, tuple(identities), base.depth + 1)
        self._lists[leaf] = kept
        return kept

    def _base(self, leaf: int, key: bytes, base: int | None) -> KeptList:
        if base is None:
            return KeptList(key, (), 0)
        kept = self._lists.get(base) or self._store.kept_list(self._origin, base)
        if kept is None or kept.key != key or base >= leaf:
            raise Malformed(f"leaf {leaf}: leaf {base} has no list of this device")
        if kept.depth >= MAX_CHAIN:
            raise Malformed(f"leaf {leaf}: a chain of more than {MAX_CHAIN} differences")
        return kept

    def _identity_at(self, ordinal: int) -> bytes:
        fresh = ordinal - self._origin.ordinals
        if fresh >= 0:
            one = self._objects[self._covered[fresh]] if fresh < len(self._covered) else None
        else:
            body = self._store.body_at(self._origin, ordinal)
            one = parse_object(body) if body else None
        if not isinstance(one, Transaction | Raw):
            raise Malformed(f"ordinal {ordinal} is no transaction")
        return one.identity

    def _cover(self, object_hashes: Sequence[bytes]) -> None:
        """The objects take the next ordinals, unless the log covers them already."""
        fresh = [one for one in object_hashes if one not in self._seen]
        before = self._store.covered(self._origin, fresh)
        self._covered += [one for one in fresh if one not in before]
        self._seen.update(fresh)


def _check_order(objects: Sequence[AnyObject], key: bytes | None = None) -> list[bytes]:
    """The key if new, then transactions and receipts; returns the transactions' identities."""
    identities = []
    for at, one in enumerate(objects):
        if isinstance(one, Transaction | Raw):
            identities.append(one.identity)
        elif not (isinstance(one, Receipt) or (at == 0 and isinstance(one, Key) and key in (None, one.key))):
            raise Malformed("objects out of their order")
    return identities


def _check_evidence(leaf: int, kind: int, objects: Sequence[AnyObject]) -> None:
    """An entry of evidence holds nothing else; an epoch's stands at the beginning of its log."""
    for one in objects:
        if not isinstance(one, Proof):
            raise Malformed(f"leaf {leaf}: an entry of evidence holds evidence alone")
        found = evidence.verify(one.body)
        if (found.kind in (evidence.EPOCH, evidence.FORK)) != (kind == EPOCH):
            raise Malformed(f"leaf {leaf}: evidence of kind {found.kind} in an entry of kind {kind}")
    if kind == EPOCH and leaf:
        raise Malformed(f"leaf {leaf}: an epoch begins with its first leaf")
