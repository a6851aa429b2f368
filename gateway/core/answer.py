"""An answer to a device, and how it is told: as a word, as JSON, with which HTTP status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.core.message import answer_json
from gateway.core.message.answer_json import HTTP_STATUS, Json, Tally
from gateway.core.message.downlink import (
    Beacon,
    Conflict,
    Downlink,
    Inclusion,
    Loose,
    Nack,
    Promise,
    Resume,
)
from gateway.model import KnownConflict

MAX_TOLD = 2
"""Conflicts in one answer; what a wallet can do about one, it can do about all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``contents`` are the H (32 bytes each) that a promise is of; ``tally`` None: nothing was judged now.

    ``key`` is the wallet's that is answered, where the message said it. ``conflicts`` are about payments in
    the content: a radio that has room for it tells them too (:attr:`told`).
    """

    message: Downlink
    contents: Sequence[bytes] = ()
    tally: Tally | None = None
    duplicate: bool = False
    key: bytes | None = None
    conflicts: Sequence[KnownConflict] = ()

    @property
    def told(self) -> Downlink:
        """The message, as CONFLICT where there is one to tell of."""
        if not self.conflicts or not isinstance(self.message, Promise | Inclusion):
            return self.message
        told = self.conflicts[:MAX_TOLD]
        return Conflict(self.message, tuple([one.evidence for one in told]), told[0].decision)

    @property
    def word(self) -> str:
        """``accepted``, ``duplicate``, a refusal's word, or the message's name."""
        match self.message:
            case Promise():
                return "duplicate" if self.duplicate else "accepted"
            case Nack(code):
                return code.word
        return type(self.message).__name__.lower()

    @property
    def http_status(self) -> int:
        match self.message:
            case Nack(code):
                return HTTP_STATUS[code]
            case Resume() | Loose():
                return 409
        return 200

    @property
    def retry_after_s(self) -> int:
        """Seconds; 0 where coming again does not help."""
        return self.message.retry_after_s if isinstance(self.message, Nack) else 0

    def to_json(self) -> Json:
        match self.message:
            case Nack() as nack:
                return answer_json.refused(nack)
            case Resume() | Loose() as bases:
                return answer_json.resume(bases)
            case Inclusion() as inclusion:
                return answer_json.inclusion(inclusion) | answer_json.conflicts(self.conflicts[:MAX_TOLD])
            case Beacon() as beacon:
                return answer_json.beacon(beacon)
            case Promise() as promise:
                return self._promised(promise)
            case Conflict(receipt):
                return replace(self, message=receipt).to_json()

    def _promised(self, promise: Promise) -> Json:
        told = answer_json.accepted(promise, self.contents, self.tally or Tally(), duplicate=self.duplicate)
        if self.tally is None:
            del told["transactions"]
        return told | answer_json.conflicts(self.conflicts[:MAX_TOLD])
