"""One origin's log on one link: offers, batches and commits, everything verified before it is applied."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from simulators.coordinator import wire
from simulators.coordinator.authority import Authority
from simulators.coordinator.judging import judge
from simulators.coordinator.records import Applied, Entry, Fork, Origin
from simulators.coordinator.shortening import completed, is_short
from simulators.coordinator.store import Store
from simulators.coordinator.verifying import Verifier, grow, leaf_of
from simulators.textbook.cbor import Malformed
from simulators.textbook.merkle import root_of
from simulators.textbook.notes import Checkpoint, NoteKey, signed_note, verified
from simulators.textbook.objects import object_hash, parse_object

Array = list[object]

MAX_OFFERS = 2
"""Without ACK: the batch under way and one ahead of it."""


class Forked(Exception):
    """The gateway has signed what cannot be; the evidence is kept already."""

    def __init__(self, fork: Fork) -> None:
        super().__init__("fork")
        self.fork = fork


@dataclass(slots=True)
class _Batch:
    """An offer and what has come for it. `hashes` has None where a short id told nothing."""

    start: int
    counts: tuple[int, ...]
    hashes: list[bytes | None]
    wanted: list[bool]
    full: bool = False
    entries: list[Entry] | None = None
    sent: dict[bytes, bytes] = field(default_factory=dict)
    received: int = 0
    received_bytes: int = 0
    note: bytes | None = None
    missing: list[int] | None = None
    """Of a MISSING under way."""

    @property
    def end(self) -> int:
        return self.start + len(self.counts)

    def take(self, body: bytes) -> bytes:
        one = object_hash(body)
        self.sent[one] = body
        self.received += 1
        self.received_bytes += len(body)
        return one

    def by_entry(self, hashes: Sequence[bytes]) -> list[Sequence[bytes]]:
        return [hashes[a:b] for a, b in pairwise(accumulate(self.counts, initial=0))]


class VerifiedLog:
    """`key` signs the origin's checkpoints; `nonce` is the session's."""

    def __init__(self, authority: Authority, origin: Origin, key: NoteKey, nonce: bytes) -> None:
        self._authority = authority
        self._origin = origin
        self._key = key
        self._nonce = nonce
        self._batches: deque[_Batch] = deque()

    def take(self, message: wire.Message) -> list[Array]:
        match message:
            case wire.Offer():
                return [self._offer(message)]
            case wire.Entries():
                self._entries(message)
                return []
            case wire.Commit():
                return [self._commit(message)]
            case wire.Hashes():
                return [self._hashes(message)]
            case wire.Objects():
                return [self._objects(message)]
        raise Malformed(f"{type(message).__name__} has no place here")

    def absorb(self, entries: list[Entry], objects: list[tuple[bytes, bytes | None]], note: bytes) -> None:
        """The next batch as a bundle has it: hash and body of each object, the note after it.

        Raises `Malformed` and `Forked`.
        """
        counts = tuple(one.count for one in entries)
        hashes: list[bytes | None] = [one for one, _ in objects]
        start = self._origin.range.size
        batch = _Batch(start, counts, hashes, [True] * len(hashes), full=True, entries=entries, note=note)
        for _, body in objects:
            if body is not None:
                batch.take(body)
        if verified(note, self._key).size != batch.end:
            raise Malformed(f"a checkpoint that is not at {batch.end}")
        self._batches.append(batch)
        if self._settle(batch)[0] != wire.ACK:
            raise Malformed("it lacks bodies that are not held here either")

    def _offer(self, offer: wire.Offer) -> Array:
        end = self._batches[-1].end if self._batches else self._origin.range.size
        if offer.start != end or len(self._batches) >= MAX_OFFERS:
            raise Malformed(f"an offer from {offer.start} where {end} is next, or a third one")
        if self._authority.faults.take("want-nothing", self._origin.gateway):
            hashes: list[bytes | None] = [None] * len(offer.short_ids)
            wanted = [False] * len(hashes)
        else:
            held = self._authority.short_ids.held(self._nonce)
            hashes = [held.get(short) for short in offer.short_ids]
            wanted = [one is None for one in hashes]
        self._batches.append(_Batch(offer.start, offer.counts, hashes, wanted))
        return [wire.WANT, offer.start, wire.bits(wanted)]

    def _entries(self, message: wire.Entries) -> None:
        batch = self._current(message.start)
        if batch.entries is not None:
            raise Malformed("ENTRIES a second time")
        entries, objects = message.unpack(batch.counts)
        wanted = [at for at, bit in enumerate(batch.wanted) if bit]
        if len(objects) != len(wanted):
            raise Malformed(f"{len(wanted)} objects were wanted, {len(objects)} came")
        for at, sent in zip(wanted, objects, strict=True):
            body = self._completed(batch, at, sent)
            batch.hashes[at] = None if body is None else batch.take(body)
        batch.entries = entries

    def _completed(self, batch: _Batch, at: int, sent: bytes) -> bytes | None:
        """A receipt gets the identity of the transaction before it; None where that is not known here."""
        if not is_short(sent):
            return sent
        before = batch.hashes[at - 1] if at else None
        if before is None:
            return None
        body = batch.sent.get(before) or self._authority.store.bodies([before]).get(before)
        return None if body is None else completed(sent, parse_object(body))

    def _commit(self, message: wire.Commit) -> Array:
        checkpoint = Checkpoint(self._origin.name, message.size, message.root)
        note = signed_note(checkpoint, self._key, message.signature)
        verified(note, self._key)
        if checkpoint.size <= self._origin.range.size:
            return self._commit_again(checkpoint, note)
        batch = self._current()
        if batch.entries is None or batch.note is not None or checkpoint.size != batch.end:
            raise Malformed(f"a COMMIT of {checkpoint.size} that is not the end of a batch under way")
        batch.note = note
        return self._settle(batch)

    def _commit_again(self, checkpoint: Checkpoint, note: bytes) -> Array:
        root = root_at(self._authority.store, self._origin, checkpoint.size)
        if root != checkpoint.root:
            raise self._fork(Fork(note, self._origin.note or note, checkpoint.size, root))
        return self._ack()

    def _hashes(self, message: wire.Hashes) -> Array:
        batch = self._current(message.start)
        if batch.note is None or batch.full or len(message.hashes) != len(batch.hashes):
            raise Malformed("HASHES that nobody asked for, or not one an object")
        batch.hashes = list(message.hashes)
        batch.full = True
        return self._settle(batch)

    def _objects(self, message: wire.Objects) -> Array:
        batch = self._current(message.start)
        if batch.missing is None or len(message.objects) != len(batch.missing):
            raise Malformed("OBJECTS that nobody asked for, or not one a bit")
        for at, body in zip(batch.missing, message.objects, strict=True):
            if batch.take(body) != batch.hashes[at]:
                raise Malformed("an object of another hash")
        return self._settle(batch)

    def _settle(self, batch: _Batch) -> Array:
        """Apply what has come out as signed, or ask for what stands in the way."""
        hashes = [one for one in batch.hashes if one is not None]
        if len(hashes) < len(batch.hashes):
            return self._ask_hashes(batch)
        assert batch.note is not None and batch.entries is not None  # noqa: S101 -- _commit comes first
        signed = verified(batch.note, self._key)
        by_entry = batch.by_entry(hashes)
        leaves = [leaf_of(entry, some) for entry, some in zip(batch.entries, by_entry, strict=True)]
        root = grow(self._origin.range, leaves).root()
        if root != signed.root:
            if not batch.full:
                return self._ask_hashes(batch)
            # The gateway signed what it did not send. No second head contradicts it, so nothing is barred.
            raise self._fork(Fork(batch.note, batch.note, signed.size, root), bars=False)
        held = self._authority.store.bodies(hashes)
        batch.missing = [at for at, one in enumerate(hashes) if one not in held and one not in batch.sent]
        if batch.missing:
            missing = set(batch.missing)
            return [wire.MISSING, batch.start, wire.bits([at in missing for at in range(len(hashes))])]
        self._check_claims(batch, leaves)
        self._apply(batch, held, by_entry, leaves)
        self._batches.popleft()
        return self._ack()

    def _ask_hashes(self, batch: _Batch) -> Array:
        return [wire.NEED_HASHES, batch.start]

    def _check_claims(self, batch: _Batch, leaves: list[bytes]) -> None:
        """Heads that were shown in a HELLO before their entries came."""
        claims = self._authority.store.claims(self._origin)
        tree = self._origin.range
        for leaf in leaves:
            tree = tree.append(leaf)
            claim = claims.get(tree.size)
            if claim and batch.note and verified(claim, self._key).root != tree.root():
                raise self._fork(Fork(claim, batch.note, tree.size, tree.root()))

    def _apply(
        self,
        batch: _Batch,
        held: dict[bytes, bytes],
        by_entry: list[Sequence[bytes]],
        leaves: list[bytes],
    ) -> None:
        authority, store = self._authority, self._authority.store
        assert batch.note is not None and batch.entries is not None  # noqa: S101 -- as in _settle
        verifier = Verifier(store, self._origin, held | batch.sent)
        entries = zip(range(batch.start, batch.end), leaves, batch.entries, by_entry, strict=True)
        judged = tuple(verifier.judge(*one) for one in entries)
        fresh = {one for some in by_entry for one in some} - held.keys()
        new = {one: (body, verifier.parsed(one)) for one, body in batch.sent.items() if one in fresh}
        applied = Applied(
            self._origin,
            grow(self._origin.range, leaves),
            batch.note,
            authority.cosign(batch.note),
            judged,
            judge(store, new),
            batch.received,
            batch.received_bytes,
            len(batch.sent.keys() & held.keys()),
            authority.now_ms(),
        )
        store.apply(applied)
        authority.court.applied(applied.judgement)
        self._origin = store.origin(self._origin.name, self._origin.gateway)

    def _ack(self) -> Array:
        assert self._origin.cosigned is not None  # noqa: S101 -- a COMMIT was applied
        return self._authority.ack(self._origin.range.size, self._origin.cosigned)

    def _current(self, start: int | None = None) -> _Batch:
        if not self._batches or start not in (None, self._batches[0].start):
            raise Malformed(f"{start} is not the start of the batch under way")
        return self._batches[0]

    def _fork(self, fork: Fork, *, bars: bool = True) -> Forked:
        self._authority.store.keep_fork(self._origin, fork, self._authority.now_ms(), bars=bars)
        return Forked(fork)


def root_at(store: Store, origin: Origin, size: int) -> bytes:
    """The origin's root when it had `size` leaves."""
    if size == origin.range.size:
        return origin.range.root()
    return root_of(store.leaves(origin, size))
