"""Who is still to get which receipt: a wallet whose ledger another brought, who came before the proof.

In memory only: what is forgotten, by a restart or at a bound, a wallet gets by asking (STATUS, or the same
upload again).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

MAX_CONTENTS = 2048
"""The one promised longest ago makes room; about 1.5 MB in all."""

MAX_OF_A_KEY = 4
"""The newest: a wallet's newest snapshot covers its older ones."""

MAX_CONTACTS = 1024
"""Peers; the one longest not met makes room. A phone changes its address every 15 minutes."""

MAX_BROUGHT = 16
"""Contents that one peer brought, the newest."""

MAX_TOLD = 4
"""Peers that are told of one content without asking: whoever claims its key, and who brought it."""

MAX_DUE = 3
"""Receipts at a time."""

Peer = tuple[str, str]
"""A radio's name, and what the radio calls the sender."""


class Stage(IntEnum):
    """How far somebody was told."""

    NOTHING = 0
    PROMISE = 1
    PROOF = 2


@dataclass(frozen=True, slots=True)
class Due:
    """This receipt is for this peer, who had less (``before``)."""

    peer: Peer
    content: bytes
    before: Stage


@dataclass(slots=True)
class _Content:
    hash: bytes
    key: bytes
    index: int
    told: dict[Peer, Stage] = field(default_factory=dict)


@dataclass(slots=True)
class _Contact:
    key: bytes | None = None
    brought: OrderedDict[bytes, None] = field(default_factory=OrderedDict)


class Owed:
    """Contents are hashes H of 32 bytes, keys are wallets'. Owned by the event loop."""

    def __init__(self) -> None:
        self._contents: OrderedDict[bytes, _Content] = OrderedDict()
        self._by_key: dict[bytes, OrderedDict[bytes, None]] = {}
        self._contacts: OrderedDict[Peer, _Contact] = OrderedDict()

    def __len__(self) -> int:
        return len(self._contents)

    def promised(self, key: bytes, content: bytes, index: int) -> None:
        """This content of the wallet with this key stands at ``index`` of the log, by whichever radio."""
        known = self._contents.pop(content, None)
        self._contents[content] = known or _Content(content, key, index)
        ours = self._by_key.setdefault(key, OrderedDict())
        ours[content] = None
        ours.move_to_end(content)
        if len(ours) > MAX_OF_A_KEY:
            self._forget(next(iter(ours)))  # which is never this one
        while len(self._contents) > MAX_CONTENTS:
            self._forget(next(iter(self._contents)))

    def met(self, peer: Peer, key: bytes | None) -> None:
        """``peer`` says that it is the wallet with this key; None: it says nothing new."""
        contact = self._contact(peer)
        contact.key = key or contact.key

    def answered(self, peer: Peer, content: bytes) -> None:
        """``peer`` brought this content and is given its promise. What it brings first is its own."""
        held = self._contents.get(content)
        if held is None:
            return
        contact = self._contact(peer)
        contact.key = contact.key or held.key
        contact.brought[content] = None
        contact.brought.move_to_end(content)
        if len(contact.brought) > MAX_BROUGHT:
            contact.brought.popitem(last=False)
        if peer in held.told or len(held.told) < MAX_TOLD:
            held.told[peer] = max(Stage.PROMISE, held.told.get(peer, Stage.NOTHING))

    def due(self, peer: Peer, acked_size: int) -> list[Due]:
        """At most :data:`MAX_DUE` for this peer, newest first, each counted as told from now on."""
        return [self._tell(held, peer, stage) for held, stage in self._missing(peer, acked_size)]

    def untold(self, due: Due) -> None:
        """It did not get through."""
        held = self._contents.get(due.content)
        if held is not None:
            held.told[due.peer] = due.before

    def _missing(self, peer: Peer, acked_size: int) -> list[tuple[_Content, Stage]]:
        missing = []
        for held in sorted(self._theirs(peer), key=lambda one: one.index, reverse=True):
            stage = Stage.PROOF if held.index < acked_size else Stage.PROMISE
            room = peer in held.told or len(held.told) < MAX_TOLD
            if room and held.told.get(peer, Stage.NOTHING) < stage:
                missing.append((held, stage))
        return missing[:MAX_DUE]

    def _theirs(self, peer: Peer) -> Iterator[_Content]:
        contact = self._contacts.get(peer)
        if contact is None:
            return
        of_the_key = self._by_key.get(contact.key, ()) if contact.key else ()
        for content in {*contact.brought, *of_the_key}:
            if (held := self._contents.get(content)) is not None:
                yield held

    def _tell(self, held: _Content, peer: Peer, stage: Stage) -> Due:
        before = held.told.get(peer, Stage.NOTHING)
        held.told[peer] = stage
        return Due(peer, held.hash, before)

    def _contact(self, peer: Peer) -> _Contact:
        contact = self._contacts.pop(peer, None) or _Contact()
        self._contacts[peer] = contact
        if len(self._contacts) > MAX_CONTACTS:
            self._contacts.popitem(last=False)
        return contact

    def _forget(self, content: bytes) -> None:
        held = self._contents.pop(content)
        ours = self._by_key[held.key]
        del ours[content]
        if not ours:
            del self._by_key[held.key]
