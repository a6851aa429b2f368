"""Heads that a gateway has signed: by HELLO, and by text message where nothing else gets through."""

from __future__ import annotations

from simulators.coordinator.authority import Authority
from simulators.coordinator.log import root_at
from simulators.coordinator.records import Fork, Origin
from simulators.textbook.cbor import Malformed
from simulators.textbook.notes import Checkpoint, NoteKey, verified
from simulators.wallets.sms import checkpoint_note, gateway_of


def compare(authority: Authority, origin: Origin, key: bytes, head: Checkpoint, note: bytes) -> Fork | None:
    """A head within what is held must be ours; one beyond is kept until its entries are here."""
    if head.size > origin.range.size:
        kept = authority.store.claim(origin, head.size, note)
        other = verified(kept, NoteKey(origin.name, key))
        return Fork(note, kept, head.size, other.root) if other.root != head.root else None
    root = root_at(authority.store, origin, head.size)
    return Fork(note, origin.note or note, head.size, root) if root != head.root else None


def take_text(authority: Authority, text: str) -> Checkpoint:
    """The checkpoint of a text message, verified under the registered key and kept; a fork bars its origin.

    Raises `Malformed` for anything else. The sender's number plays no part.
    """
    gateway = authority.store.gateway(gateway_of(text))
    if gateway is None:
        raise Malformed("a checkpoint of nobody who is registered")
    note = checkpoint_note(text, gateway.key)
    origin_name = note.decode().partition("\n")[0]
    head = verified(note, NoteKey(origin_name, gateway.key))
    origin = authority.store.origin(head.origin, gateway.id)
    fork = compare(authority, origin, gateway.key, head, note)
    if fork is not None:
        authority.store.keep_fork(origin, fork, authority.now_ms(), bars=True)
    authority.heard(gateway.id).texts += 1
    authority.on_change()
    return head
