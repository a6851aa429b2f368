"""A log that begins again: the old epoch is left with what the coordinator has of it, the rest moves on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.core import merkle
from gateway.core.entry import Entry, objects_root
from gateway.core.evidence import Evidence, encode_evidence
from gateway.core.lists import difference
from gateway.core.merkle import Frontier
from gateway.core.submission import EncodedObject, ObjectState
from gateway.core.wallet.objects import Kind, object_hash
from gateway.model import Beginning, EndedEpoch, EntryKind, Halt
from gateway.store.connection import Connection
from gateway.store.entries import leaf_hashes, pack_bodies
from gateway.store.epochs import Epoch, read_past
from gateway.store.listbook import ListBook
from gateway.store.lookup import lookup_row
from gateway.store.state import LogState
from gateway.store.tiles import StoredTiles, append_leaves

_LOT = 4096


def begin(
    connection: Connection, state: LogState, number: int, evidence: Sequence[Evidence], beginning: Beginning
) -> None:
    """Inside a transaction, all of it: ``state`` is that of epoch ``number`` afterwards."""
    old, border = state.numbers, state.acked_leaf
    _leave(connection, state, beginning)
    row = connection.execute("SELECT first_ordinal FROM entries WHERE leaf = ?", (border,)).fetchone()
    new = Epoch(number, border - 1, state.next_ordinal if row is None else row[0])
    _list_anew(connection, new)
    own = _log_beginning(connection, new, evidence, beginning)
    orphans = leaf_hashes(connection, old, border - old.first_leaf, state.size)
    frontier = Frontier()
    leaves = [own, *orphans]
    for start in range(0, len(leaves), _LOT):
        frontier = append_leaves(connection, new, frontier, leaves[start : start + _LOT])
    state.past = read_past(connection)
    state.epoch, state.first_leaf, state.first_ordinal = new.number, new.first_leaf, new.first_ordinal
    state.frontier = frontier
    state.signed_size = state.acked_size = 0
    state.signed_note = state.cosigned_note = state.halted_what = state.halted_fix = None


def cosigned(connection: Connection, epoch: int) -> tuple[int, bytes] | None:
    """Size and note of the newest checkpoint that the coordinator cosigned of an epoch that is over."""
    row = connection.execute(
        "SELECT frontier, cosigned_note FROM epochs WHERE epoch = ?", (epoch,)
    ).fetchone()
    if row is None or row[1] is None:
        return None
    return Frontier.from_bytes(row[0]).size, row[1]


def unseen(connection: Connection) -> Halt | None:
    """Why the newest epoch ended that nobody has looked at."""
    row = connection.execute(
        "SELECT why, fix FROM epochs WHERE seen = 0 ORDER BY epoch DESC LIMIT 1"
    ).fetchone()
    return None if row is None else Halt(what=row[0], fix=row[1])


def ended(connection: Connection) -> list[EndedEpoch]:
    """Epochs that are over, the oldest first."""
    rows = connection.execute("SELECT epoch, frontier, ended_at, why, fix, seen FROM epochs ORDER BY epoch")
    return [
        EndedEpoch(
            number=number,
            size=Frontier.from_bytes(frontier).size,
            ended_at_ms=at,
            told=Halt(what=why, fix=fix),
            seen=bool(seen),
        )
        for number, frontier, at, why, fix, seen in rows
    ]


def past_epochs(connection: Connection) -> list[dict[str, Any]]:
    """All that is kept of epochs that are over, the oldest first."""
    rows = connection.execute(
        "SELECT epoch, frontier, signed_size, signed_note, cosigned_note, ended_at, why, fix, seen "
        "FROM epochs ORDER BY epoch"
    )
    names = (
        "epoch",
        "size",
        "signed_size",
        "signed_note",
        "cosigned_note",
        "ended_at_ms",
        "why",
        "fix",
        "seen",
    )
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [
        {**row, "size": Frontier.from_bytes(row["size"]).size, "seen": bool(row["seen"])} for row in found
    ]


def _leave(connection: Connection, state: LogState, beginning: Beginning) -> None:
    """What stays in the old epoch is what the coordinator has cosigned; its proofs go on."""
    frontier = merkle.frontier_at(min(state.acked_size, state.size), StoredTiles(connection, state.numbers))
    connection.execute(
        "INSERT INTO epochs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
        (
            *(state.epoch, state.first_leaf, state.first_ordinal, frontier.to_bytes()),
            *(state.signed_size, state.signed_note, state.cosigned_note),
            *(beginning.at.unix_ms, beginning.told.what, beginning.told.fix),
        ),
    )


def _list_anew(connection: Connection, new: Epoch) -> None:
    """The orphans' lists may name neither lists nor ordinals of the old epoch: each stands alone."""
    lists = ListBook(connection, new)
    rows = connection.execute(
        "SELECT leaf, first_ordinal FROM lists JOIN entries USING (leaf) WHERE leaf >= ? ORDER BY leaf",
        (new.lowest,),
    ).fetchall()
    for leaf, first in rows:
        places = lists.own([*lists.expanded(leaf)])
        raws = sum(isinstance(place, bytes) for place in places)
        connection.execute(
            "UPDATE lists SET depth = 1, base = NULL, raws = ?, ops = ? WHERE leaf = ?",
            (raws, difference(places, (), first), leaf),
        )


def _log_beginning(
    connection: Connection, new: Epoch, evidence: Sequence[Evidence], beginning: Beginning
) -> bytes:
    """The first entry; returns its leaf hash."""
    objects = [(one, _encoded(one)) for one in evidence]
    hashes, at, leaf, first = [o.hash for _, o in objects], beginning.at, new.leaf(0), -2 * new.number
    entry = Entry(EntryKind.EPOCH, objects_root(hashes), len(objects), at.unix_ms, at.quality, "epoch")
    connection.execute(
        "INSERT INTO entries (leaf, kind, objects_root, first_ordinal, count, received_at, quality, radio) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(leaf, int(entry.kind), entry.objects_root, first, len(objects)),
            *(at.unix_ms, int(at.quality), entry.radio),
        ),
    )
    connection.execute("INSERT INTO bodies VALUES (?, ?)", (leaf, pack_bodies([o.body for _, o in objects])))
    for ordinal, (one, encoded) in enumerate(objects, first):
        row = (ordinal, leaf, int(Kind.EVIDENCE), int(ObjectState.VERIFIED), encoded.hash, None)
        connection.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?)", row)
        connection.execute("INSERT INTO lookup VALUES (?, ?)", lookup_row(encoded.hash, ordinal))
        connection.execute(
            "INSERT OR IGNORE INTO evidence (hash, kind, body, priority, leaf) VALUES (?, ?, ?, 1, ?)",
            (encoded.hash, int(one.kind), encoded.body, leaf),
        )
    return entry.leaf_hash()


def _encoded(evidence: Evidence) -> EncodedObject:
    body = encode_evidence(evidence)
    return EncodedObject(object_hash(body), body)
