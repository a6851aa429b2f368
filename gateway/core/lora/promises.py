"""Promises made small for the air: the origin's hint instead of its text, and one signature for many."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateway.core.answer import Answer
from gateway.core.message.downlink import Promise, PromisedEntry, encode_downlink
from gateway.core.receipt import origin_hint, promise_leaf, promise_text
from gateway.core.submission import HeldPlace

MAX_IN_BATCH = 16
MAX_REMEMBERED = 1024  # promises that may still be joined; they wait 20 s at most


@dataclass(frozen=True, slots=True)
class _Single:
    """A promise of one leaf, and what a batch needs of it."""

    hint: bytes
    entry: PromisedEntry  # with its leaf


class PromiseBook:
    """Writes answers for LoRa, and remembers enough of the promises among them to sign several as one.

    ``sign`` is the gateway's key over any text of its own.
    """

    def __init__(self, sign: Callable[[bytes], bytes]) -> None:
        self._sign = sign
        self._singles: OrderedDict[bytes, _Single] = OrderedDict()

    def write(self, answer: Answer) -> bytes:
        """The answer in CBOR; a promise with 4 bytes of its origin's hash (docs/protocol/messages.md)."""
        promise = answer.message
        if not isinstance(promise, Promise) or isinstance(promise.origin, bytes):
            return encode_downlink(promise)
        small = replace(promise, origin=origin_hint(promise.origin))
        written = encode_downlink(small)
        if len(promise.entries) == len(answer.contents) == 1 and promise.entries[0].leaf is None:
            entry = promise.entries[0]
            place = HeldPlace(entry.index, entry.received_at_ms, entry.quality)
            leaf = promise_leaf(promise.origin, place, answer.contents[0])
            self._remember(written, _Single(origin_hint(promise.origin), replace(entry, leaf=leaf)))
        return written

    def join(self, answers: Sequence[bytes]) -> tuple[bytes, Sequence[int]] | None:
        """One promise over up to 16 answers of one origin, and which those are; None below two."""
        known = [(i, single) for i, a in enumerate(answers) if (single := self._singles.get(a)) is not None]
        if not known:
            return None
        hint = known[0][1].hint
        chosen = [(i, single.entry) for i, single in known if single.hint == hint][:MAX_IN_BATCH]
        if len(chosen) < 2:
            return None
        entries = tuple(entry for _, entry in chosen)
        signature = self._sign(promise_text([entry.leaf or b"" for entry in entries]))
        return encode_downlink(Promise(hint, signature, entries)), [i for i, _ in chosen]

    def _remember(self, written: bytes, single: _Single) -> None:
        self._singles[written] = single
        self._singles.move_to_end(written)
        if len(self._singles) > MAX_REMEMBERED:
            self._singles.popitem(last=False)
