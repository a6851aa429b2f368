"""Where every radio and HTTP hand in a device's message and get the answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Protocol

from gateway.core.admission import Admission
from gateway.core.answer import Answer
from gateway.core.echo import Promised, opened
from gateway.core.entry import origin_of
from gateway.core.labels import Label, labelled
from gateway.core.last_way import Told
from gateway.core.message.answer_json import Tally
from gateway.core.message.downlink import (
    Beacon,
    Downlink,
    Inclusion,
    Nack,
    Promise,
    PromisedEntry,
    beacon_payload,
    encode_downlink,
)
from gateway.core.message.uplink import Echo, Hello, StatusQuery, Uplink, decode_uplink
from gateway.core.message.wallet_json import decode_snapshot, decode_transactions, decode_upload
from gateway.core.owed import Owed
from gateway.core.receipt import promise_leaf, promise_text
from gateway.core.refusal import Refusal, Refused
from gateway.core.submission import HeldPlace, Upload
from gateway.core.wallet.signature import verifies
from gateway.core.wallet.transaction import Transaction
from gateway.core.wallet.upload import SnapshotUpload, TransactionsUpload
from gateway.model import Beginning, ContentPlace, Halt, Head, KnownConflict, Source, Stamp
from gateway.store import Store

log = logging.getLogger(__name__)

LARGE = 16 << 10
"""Bytes from which on a message is decoded beside the loop: 3 MB of JSON take a Pi half a second, 64 KiB of
empty arrays a fifth."""

REFUSALS_TOLD_A_MINUTE = 30
"""Refusals that get a line in the log; what comes beyond is counted, and told with the next line."""

_LOST = (
    "find out who put an older copy of the disk in place; what is lost, wallets bring again; "
    "then run: offgrid-gateway log resume"
)

Decode = Callable[[bytes], Uplink]
Submit = Callable[[bytes, str, str], Awaitable[bytes]]
Write = Callable[[Answer], bytes]


class Recorded(Protocol):
    """What the recorder answers."""

    @property
    def answer(self) -> Downlink: ...
    @property
    def contents(self) -> Sequence[bytes]: ...
    @property
    def tally(self) -> Tally: ...
    @property
    def duplicate(self) -> bool: ...
    @property
    def conflicts(self) -> Sequence[KnownConflict]: ...


class Records(Protocol):
    """What reception asks of the recorder."""

    def remembered(self, fingerprint: bytes) -> Recorded | None: ...
    async def record(self, upload: Upload) -> Recorded: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who answers: the gateway's id and key (32 bytes), and signatures by it."""

    gateway_id: str
    key: bytes
    sign: Callable[[bytes], bytes]


class Reception:
    """Owned by the event loop. Every refusal is an answer; only a broken store raises, FatalError.

    ``max_bytes`` is asked for each message. ``answered`` is told the radio and the answer's word. ``owed``
    learns what was promised to whom, by whichever radio. ``told``: the newest checkpoint that the coordinator
    was told by text message.
    """

    def __init__(
        self,
        recorder: Records,
        store: Store,
        admission: Admission,
        signer: Signer,
        *,
        now: Callable[[], Stamp],
        monotonic: Callable[[], float],
        max_bytes: Callable[[], int],
        answered: Callable[[str, str], None],
        owed: Owed | None = None,
        told: Callable[[], Told | None] = lambda: None,
    ) -> None:
        self._owed = Owed() if owed is None else owed
        self._told_home = told
        self._recorder = recorder
        self._store = store
        self._admission = admission
        self._signer = signer
        self._now = now
        self._monotonic = monotonic
        self._max_bytes = max_bytes
        self._answered = answered
        self._told_at = monotonic()
        self._told = 0
        self._untold = 0

    @property
    def max_bytes(self) -> int:
        """The largest message that is taken."""
        return self._max_bytes()

    def arrived(self, source: Source, size: int) -> None:
        """Charge a message of ``size`` bytes before it is read or joined. Raises Refused."""
        self._admission.arrived(source.radio, source.peer, size, self._monotonic())

    def brought(self, source: Source, size: int) -> None:
        """Charge the bytes of a message whose length nobody knew when it arrived."""
        self._admission.brought(source.radio, source.peer, size, self._monotonic())

    def submit(self, radio: str, linger_s: float, write: Write | None = None) -> Submit:
        """For a radio: ``submit(message, peer, correlation) -> answer``, both in CBOR.

        ``write`` puts an answer into bytes where a radio has its own way to.
        """
        write = write or _written

        async def submit(message: bytes, peer: str, correlation: str) -> bytes:
            source = Source(radio=radio, peer=peer, correlation_id=correlation, linger_s=linger_s)
            try:
                self.arrived(source, len(message))
            except Refused as refused:
                return write(self.refuse(source, refused))
            return write(await self.message(source, message))

        return submit

    async def message(self, source: Source, data: bytes) -> Answer:
        """Answer one device message in CBOR; it has been charged."""
        return await self._answer(source, data, lambda data: decode_uplink(data, max_bytes=self._max_bytes()))

    async def snapshot(self, source: Source, body: bytes) -> Answer:
        """Answer the wallet's JSON with a snapshot."""
        return await self._answer(
            source, body, lambda body: decode_snapshot(body, max_bytes=self._max_bytes())
        )

    async def transactions(self, source: Source, body: bytes) -> Answer:
        """Answer the wallet's JSON with transactions."""
        return await self._answer(
            source, body, lambda body: decode_transactions(body, max_bytes=self._max_bytes())
        )

    async def upload(self, source: Source, body: bytes) -> Answer:
        """Answer the wallet's JSON with either."""
        return await self._answer(source, body, lambda body: decode_upload(body, max_bytes=self._max_bytes()))

    def refuse(self, source: Source, refused: Refused) -> Answer:
        """The answer to what is refused, counted, and told to the log within bounds."""
        return self._tell(source, Answer(Nack.of(refused)))

    async def receipt(self, content: bytes) -> Answer:
        """Inclusion where the coordinator has cosigned the content's leaf, or was told of it by text message;
        else the promise once more."""
        place = await self._store.content(content)
        if place is None:
            return Answer(Nack(Refusal.NOT_FOUND, detail="this gateway does not hold this content"))
        origin = origin_of(self._signer.gateway_id, place.epoch)
        if place.cosigned is not None and place.index < place.cosigned[0]:
            inclusion = await self._inclusion(origin, *place.cosigned, place)
            return Answer(inclusion, conflicts=place.conflicts)
        head = await self._store.head()
        told = self._told_home()
        if told is not None and origin == head.origin and told.covers(head, place.index):
            inclusion = await self._inclusion(told.origin, told.size, told.note, place)
            return Answer(replace(inclusion, cosigned=False), conflicts=place.conflicts)
        promise = self._promise(origin, place, content)
        return Answer(promise, (content,), duplicate=True, conflicts=place.conflicts)

    async def seen_size(self) -> int:
        """Leaves that stand under a root the coordinator has seen: cosigned, or told by text message."""
        head, told = await self._store.head(), self._told_home()
        acked_size = head.acked_size if head.cosigned_note is not None else 0
        return acked_size if told is None or not told.covers(head, 0) else max(acked_size, told.size)

    async def notice(self) -> bytes:
        """A beacon for all, as its bytes: without checkpoint, so that it fits one frame."""
        return encode_downlink((await self.beacon(checkpoint=False)).message)

    async def beacon(self, *, checkpoint: bool = True) -> Answer:
        """Who this gateway is, and the time it takes it to be."""
        head, now, signer = await self._store.head(), self._now(), self._signer
        note = head.cosigned_note or head.signed_note if checkpoint else None
        fields = (signer.gateway_id, head.origin, signer.key, now.unix_ms, int(now.quality), note)
        return Answer(Beacon(*fields, signer.sign(labelled(Label.BEACON, beacon_payload(*fields)))))

    async def _answer(self, source: Source, data: bytes, decode: Decode) -> Answer:
        fingerprint = sha256(data).digest()
        known = self._recorder.remembered(fingerprint)
        if known is not None:
            return self._tell(source, _answer_of(known))
        try:
            message = decode(data) if len(data) < LARGE else await asyncio.to_thread(decode, data)
            answer = await self._dispatch(source, message, fingerprint, len(data))
        except Refused as refused:
            return self.refuse(source, refused)
        return self._tell(source, answer)

    async def _dispatch(
        self,
        source: Source,
        message: Uplink,
        fingerprint: bytes,
        size: int,
    ) -> Answer:
        match message:
            case Hello(key):
                await self._store.add_candidate(key)
                return replace(await self.beacon(), key=key)
            case Echo(promise, contents):
                return await self._echoed(promise, contents)
            case StatusQuery(content):
                return await self.receipt(content)
        self._claimed(message)
        upload = Upload(message=message, source=source, fingerprint=fingerprint)
        answer = replace(_answer_of(await self._recorder.record(upload)), key=message.key)
        if message.key is not None and isinstance(answer.message, Promise) and len(answer.contents) == 1:
            self._owed.promised(message.key, answer.contents[0], answer.message.entries[0].index)
        # Loose transactions are charged to nobody: anyone can hand them in under another's key.
        if isinstance(message, SnapshotUpload) and answer.word == "accepted":
            self._admission.verified(message.key, size, self._monotonic())
        return answer

    async def _echoed(self, promise: Promise, contents: Sequence[bytes]) -> Answer:
        """A wallet shows what it was promised: its receipt, or that it is lost and wanted once more."""
        head, signer = await self._store.head(), self._signer
        origins = [origin_of(signer.gateway_id, epoch) for epoch in range(head.epoch, 0, -1)]
        found = opened(promise, contents, origins, partial(verifies, signer.key))
        if not found:
            raise Refused(Refusal.SIGNATURE, "no promise of this gateway over these contents")
        places = [await self._store.content(one.content) for one in found]
        gone = [one for one, place in zip(found, places, strict=True) if place is None]
        # Held, and yet elsewhere: the log was set back, and went another way since.
        broken = [
            one
            for one, place in zip(found, places, strict=True)
            if one.origin == head.origin
            and one.index >= head.acked_size
            and (place is None or (place.epoch, place.index) != (head.epoch, one.index))
        ]
        if gone or broken:
            await self._lost(head, len(gone), broken)
        if gone:
            raise Refused(Refusal.NOT_FOUND, "promised, and lost by this gateway: send it again")
        return await self.receipt(found[0].content)

    async def _lost(self, head: Head, gone: int, broken: Sequence[Promised]) -> None:
        await self._store.lost_promises(gone)
        what = f"a wallet showed {gone or len(broken)} promises that this log of {head.size} does not keep"
        told = Halt(what=f"{what}: its disk was set back", fix=_LOST)
        log.error("promised leaves are gone", extra={"seen": told.what, "fix": told.fix})
        if broken:  # nothing more may be signed where a wallet holds another promise
            signed = Beginning(key=self._signer.key, why="lost", told=told, at=self._now())
            await self._store.begin_epoch(signed)

    def _claimed(self, message: SnapshotUpload | TransactionsUpload) -> None:
        if message.key is not None:
            self._admission.claimed(message.key, self._monotonic())
            return
        for item in message.items:
            if isinstance(item.transaction, Transaction):
                self._admission.carried(item.transaction.sender)

    def _promise(self, origin: str, place: ContentPlace, content: bytes) -> Promise:
        held = HeldPlace(place.index, place.received_at_ms, place.quality, place.epoch)
        signature = self._signer.sign(promise_text([promise_leaf(origin, held, content)]))
        entry = PromisedEntry(place.index, place.received_at_ms, place.quality)
        return Promise(origin, signature, (entry,))

    async def _inclusion(self, origin: str, size: int, note: bytes, place: ContentPlace) -> Inclusion:
        return Inclusion(
            origin=origin,
            index=place.index,
            entry=place.entry,
            object_index=place.object_index,
            object_path=place.object_path,
            leaf_path=await self._store.proof(place.index, size, place.epoch),
            checkpoint=note,
        )

    def _tell(self, source: Source, answer: Answer) -> Answer:
        self._answered(source.radio, answer.word)
        fields: dict[str, object] = {
            "correlation": source.correlation_id,
            "radio": source.radio,
            "peer": source.peer,
            "answer": answer.word,
        }
        if isinstance(answer.message, Nack):
            self._tell_refusal(fields | {"detail": answer.message.detail})
        else:
            log.debug("answered", extra=fields)
        return answer

    def _tell_refusal(self, fields: dict[str, object]) -> None:
        now = self._monotonic()
        if now - self._told_at >= 60:
            self._told_at, self._told = now, 0
        if self._told >= REFUSALS_TOLD_A_MINUTE:
            self._untold += 1
            return
        self._told += 1
        log.info("refused", extra=fields | {"untold": self._untold})
        self._untold = 0


def _answer_of(recorded: Recorded) -> Answer:
    return Answer(
        recorded.answer,
        recorded.contents,
        recorded.tally,
        recorded.duplicate,
        conflicts=recorded.conflicts,
    )


def _written(answer: Answer) -> bytes:
    return encode_downlink(answer.message)
