"""One radio's contacts: each message answered in its own form, and what its peer is still owed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.answer import Answer
from gateway.core.message.downlink import Promise, encode_downlink
from gateway.core.owed import Due, Owed
from gateway.core.refusal import Refused
from gateway.model import Head, Source

JSON = b"{"


class Reception(Protocol):
    """What is asked of it."""

    def arrived(self, source: Source, size: int) -> None: ...
    def refuse(self, source: Source, refused: Refused) -> Answer: ...
    async def message(self, source: Source, data: bytes) -> Answer: ...
    async def upload(self, source: Source, body: bytes) -> Answer: ...
    async def receipt(self, content: bytes) -> Answer: ...


class Log(Protocol):
    """What is asked of the store."""

    async def head(self) -> Head: ...


@dataclass(frozen=True, slots=True)
class Notice:
    """A receipt in the peer's form; it comes back to :meth:`Contacts.untold` where it could not be sent."""

    payload: bytes
    due: Due


class Contacts:
    """Messages that begin with ``{`` are the wallet's JSON and are answered so, all others in CBOR."""

    def __init__(self, radio: str, linger_s: float, reception: Reception, log: Log, owed: Owed) -> None:
        self._radio = radio
        self._linger_s = linger_s
        self._reception = reception
        self._log = log
        self._owed = owed

    async def submit(self, message: bytes, peer: str, correlation: str) -> bytes:
        """Answer one message; every refusal is an answer."""
        source = Source(radio=self._radio, peer=peer, correlation_id=correlation, linger_s=self._linger_s)
        answer = await self._answer(source, message)
        who = (self._radio, peer)
        if isinstance(answer.message, Promise) and len(answer.contents) == 1:
            self._owed.answered(who, answer.contents[0])
        elif answer.key is not None:
            self._owed.met(who, answer.key)
        return _written(answer, message)

    async def notices(self, message: bytes, peer: str) -> Sequence[Notice]:
        """What this peer is owed besides the answer to ``message``, in the same form; it counts as told."""
        head = await self._log.head()
        acked_size = head.acked_size if head.cosigned_note is not None else 0
        owed = self._owed.due((self._radio, peer), acked_size)
        try:
            return [await self._notice(due, message) for due in owed]
        except BaseException:  # the radio is gone, or the store: nobody has been told
            for due in owed:
                self._owed.untold(due)
            raise

    def untold(self, notices: Sequence[Notice]) -> None:
        """These could not be sent: they are due again."""
        for notice in notices:
            self._owed.untold(notice.due)

    async def _answer(self, source: Source, message: bytes) -> Answer:
        try:
            self._reception.arrived(source, len(message))
        except Refused as refused:
            return self._reception.refuse(source, refused)
        if message.startswith(JSON):
            return await self._reception.upload(source, message)
        return await self._reception.message(source, message)

    async def _notice(self, due: Due, message: bytes) -> Notice:
        return Notice(_written(await self._reception.receipt(due.content), message), due)


def _written(answer: Answer, message: bytes) -> bytes:
    """In the form of the message that it answers."""
    return json.dumps(answer.to_json()).encode() if message.startswith(JSON) else encode_downlink(answer.told)
