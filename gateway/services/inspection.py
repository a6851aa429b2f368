"""What a person asks of the log: show it, prove a leaf, verify all of it. Works on any open store.

Answers are plain values that JSON can carry; the command line prints them.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.core import merkle
from gateway.core.entry import Entry, objects_root
from gateway.core.note import VerifierKey
from gateway.core.pin import CoordinatorKey
from gateway.core.sync.checkpoints import Own, Stranger, open_own
from gateway.core.wallet.objects import Kind, object_hash
from gateway.errors import CommandError
from gateway.model import EntryKind, Head, LoggedEntry
from gateway.store import Store

Answer = dict[str, object]

MAX_SHOWN = 100
MAX_PROBLEMS = 20
"""Problems named by ``verify``; the rest are counted."""


async def show(store: Store, *, index: int | None = None, count: int = 10) -> Answer:
    """The head and the newest ``count`` leaves, or leaf ``index`` with its objects."""
    head = await store.head()
    if index is not None:
        return {"head": _head(head), "entries": [_entry(await _leaf(store, index, head), objects=True)]}
    start = max(0, head.size - max(1, min(count, MAX_SHOWN)))
    batch = await store.read_batch(start, MAX_SHOWN)
    return {"head": _head(head), "entries": [_entry(entry, objects=False) for entry in batch.entries]}


async def prove(store: Store, *, index: int | None = None, content: bytes | None = None) -> Answer:
    """That a leaf, or a content H (32 bytes), is under the newest signed checkpoint that covers it."""
    head = await store.head()
    answer: Answer = {"origin": head.origin}
    if content is not None:
        place = await store.content(content)
        if place is None:
            raise CommandError(f"content {content.hex()} is not in this log")
        index, entry = place.index, place.entry
        answer |= {
            "content": content.hex(),
            "objectIndex": place.object_index,
            "objectPath": [node.hex() for node in place.object_path],
        }
    elif index is not None:
        entry = _committed(await _leaf(store, index, head)).to_bytes()
    else:
        raise CommandError("which leaf: an index or a content hash")
    size, note = _covering(head, index)
    path = await store.proof(index, size)
    merkle.verify_inclusion(merkle.leaf_hash(entry), index, size, path, await store.root_at(size))
    return answer | {
        "index": index,
        "entry": b64encode(entry).decode(),
        "leafPath": [node.hex() for node in path],
        "size": size,
        "cosigned": size == head.acked_size and note == head.cosigned_note,
        "checkpoint": note.decode(),
    }


async def epochs(store: Store) -> Answer:
    """The head, and every epoch that is over: how far it is cosigned, when it ended, why, what to do."""
    ended = [
        {
            "epoch": one.number,
            "size": one.size,
            "endedAt": one.ended_at_ms,
            "why": one.told.what,
            "fix": one.told.fix,
            "seen": one.seen,
        }
        for one in await store.ended_epochs()
    ]
    return {"head": _head(await store.head()), "ended": ended}


@dataclass(slots=True)
class _Findings:
    entries: int = 0
    objects: int = 0
    pruned: int = 0
    problems: list[str] = field(default_factory=list)
    count: int = 0

    def problem(self, what: str) -> None:
        self.count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(what)


async def verify(store: Store, *, public_key: bytes, coordinator: CoordinatorKey | None) -> Answer:
    """Compute the whole log again, from the bytes of its objects up to both checkpoints.

    A pruned object counts by its hash. ``problems`` is empty where everything holds.
    """
    head = await store.head()
    found, frontier = _Findings(), merkle.Frontier()
    while frontier.size < head.size:
        batch = await store.read_batch(frontier.size)
        if not batch.entries:
            found.problem(f"leaf {frontier.size} of {head.size} is missing")
            break
        frontier = frontier.extend([_recomputed(entry, found).leaf_hash() for entry in batch.entries])
        if frontier.root() != await store.root_at(frontier.size):
            found.problem(f"the leaves up to {frontier.size} do not give the root kept for that size")
            break
        await asyncio.sleep(0)  # the daemon works on between two batches
    if frontier.size == head.size and frontier.root() != head.root:
        found.problem(f"the {head.size} leaves do not give the root of the log")
    await _check_notes(store, head, public_key, coordinator, found)
    return {
        "head": _head(head),
        "entries": frontier.size,
        "objects": found.objects,
        "pruned": found.pruned,
        "problems": found.problems,
        "problemCount": found.count,
    }


def _recomputed(entry: LoggedEntry, found: _Findings) -> Entry:
    for item in entry.objects:
        found.objects += 1
        if item.body is None:
            found.pruned += 1
        elif object_hash(item.body) != item.hash:
            found.problem(f"leaf {entry.index}: the bytes of object {item.hash.hex()} are others")
    committed = _committed(entry)
    if objects_root([item.hash for item in entry.objects]) != committed.objects_root:
        found.problem(f"leaf {entry.index}: its objects do not give its root")
    return committed


async def _check_notes(
    store: Store, head: Head, public_key: bytes, coordinator: CoordinatorKey | None, found: _Findings
) -> None:
    # Without a pinned key our own signature is still checked; a cosignature is then nobody's.
    own = Own(VerifierKey(head.origin, public_key), coordinator or CoordinatorKey(public_key))
    notes = [("signed", head.signed_note, False)]
    if coordinator is not None:
        notes.append(("cosigned", head.cosigned_note, True))
    for word, note, cosigned in notes:
        if note is None:
            continue
        try:
            checkpoint = open_own(own, note, cosigned=cosigned)
            if checkpoint.size > head.size or await store.root_at(checkpoint.size) != checkpoint.root:
                found.problem(f"the {word} checkpoint of {checkpoint.size} leaves is not of this log")
        except Stranger as error:
            found.problem(f"the {word} checkpoint: {error}")


async def _leaf(store: Store, index: int, head: Head) -> LoggedEntry:
    if not 0 <= index < head.size:
        raise CommandError(f"no leaf {index}; the log has {head.size}")
    return (await store.read_batch(index, 1)).entries[0]


def _committed(entry: LoggedEntry) -> Entry:
    return Entry(
        entry.kind,
        entry.objects_root,
        len(entry.objects),
        entry.received_at_ms,
        entry.quality,
        entry.radio,
    )


def _covering(head: Head, index: int) -> tuple[int, bytes]:
    """The cosigned checkpoint where it covers the leaf, else our own."""
    if head.cosigned_note is not None and index < head.acked_size:
        return head.acked_size, head.cosigned_note
    if head.signed_note is not None and index < head.signed_size:
        return head.signed_size, head.signed_note
    raise CommandError(
        f"leaf {index} is under no signed checkpoint yet; the coordinator has not been reached"
    )


def _head(head: Head) -> Answer:
    return {
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "signedSize": head.signed_size,
        "ackedSize": head.acked_size,
        "halted": None if head.halted is None else f"{head.halted.what}; {head.halted.fix}",
    }


def _entry(entry: LoggedEntry, *, objects: bool) -> Answer:
    shown: Answer = {
        "index": entry.index,
        "kind": EntryKind(entry.kind).name.lower(),
        "radio": entry.radio,
        "receivedAt": entry.received_at_ms,
        "quality": entry.quality,
        "objects": len(entry.objects),
        "leaf": _committed(entry).leaf_hash().hex(),
    }
    return shown | {"contents": list(_objects(entry))} if objects else shown


def _objects(entry: LoggedEntry) -> Iterable[Answer]:
    for item in entry.objects:
        yield {
            "hash": item.hash.hex(),
            "kind": _kind(item.body),
            "bytes": None if item.body is None else len(item.body),
        }


def _kind(body: bytes | None) -> str:
    if body is None:
        return "pruned"
    kind = body[1] if len(body) > 1 else 0  # a short array's head is one byte, its first element another
    return Kind(kind).name.lower() if kind in set(Kind) else "damaged"
