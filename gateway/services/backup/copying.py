"""Keeps copies of the log off the device: each few minutes what is new, read back before it counts.

Nothing of the gateway waits for it, and its failure touches nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256

from gateway.backup import Listed, TargetFailed
from gateway.clock import Clock
from gateway.core.backup import (
    BackupRefused,
    Header,
    Name,
    Remains,
    gap,
    logged,
    mergeable,
    read_name,
    superseded,
    write_range,
)
from gateway.core.entry import epoch_of
from gateway.core.note import Sign
from gateway.core.sync.pulled import PulledEntry
from gateway.core.vitals import BackupVitals
from gateway.errors import NeedsPerson
from gateway.model import Head
from gateway.services.backup.book import BackupBook
from gateway.services.backup.restoring import Source, fetch
from gateway.store import Store

log = logging.getLogger(__name__)

MAX_ENTRIES = 4096
MAX_BYTES = 4 << 20
"""Of bodies and list differences in one object that is uploaded; what is merged is larger."""

MAX_LOOKED_BACK = 64
"""Objects read to find where an older disk's backup and this log part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSettings:
    """Seconds and bytes; ``monthly_bytes`` 0: no bound."""

    interval_s: float
    keep_s: float
    monthly_bytes: int


class OverBudget(TargetFailed):
    """The month's bytes are used up."""


class Backup:
    """One gateway's backup. ``remains`` gathers what a restored disk needs beside the log."""

    def __init__(
        self,
        store: Store,
        source: Source,
        sign: Sign,
        remains: Callable[[Head], Awaitable[Remains]],
        book: BackupBook,
        clock: Clock,
        settings: BackupSettings,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        if source.key is None:
            raise ValueError("a backup is made under the gateway's own key")
        self._store = store
        self._source = source
        self._key = source.key
        self._sign = sign
        self._remains = remains
        self._book = book
        self._clock = clock
        self._settings = settings
        self._may_send = may_send
        self._sizes: dict[Name, Listed] = {}  # of the present epoch, as listed and made since
        self._epoch, self._generation = 0, 0
        self._covered = 0
        self._started = clock.monotonic()
        self._verified_s: float | None = None
        self._failures = 0
        self._failure = ""
        self._busy = asyncio.Lock()

    def vitals(self) -> BackupVitals:
        """As of the newest round."""
        since = self._started if self._verified_s is None else self._verified_s
        return BackupVitals(
            age_s=self._clock.monotonic() - since,
            covered=self._covered,
            objects=len(self._sizes),
            bytes=sum(item.size for item in self._sizes.values()),
            uploaded_bytes=self._book.uploaded,
            failures=self._failures,
            failure=self._failure,
            tested_at_s=self._book.tested_at_s,
            test_passed=self._book.test_passed,
        )

    async def run(self) -> None:
        """Round after round. Raises TargetFailed, after which it is to be run again later."""
        self._epoch = 0  # the target may have been exchanged since
        while True:
            await self.round()
            await self._clock.sleep(self._settings.interval_s)

    async def round(self) -> BackupVitals:
        """Upload what is new now, verify it, tidy up."""
        async with self._busy:
            try:
                await self._round()
            except (TargetFailed, BackupRefused) as error:
                self._failures += 1
                self._failure = str(error)
                raise
            self._verified_s, self._failure = self._clock.monotonic(), ""
        return self.vitals()

    async def _round(self) -> None:
        head = await self._store.head()
        if epoch_of(head.origin) != self._epoch:
            await self._join(head)
        while (missing := gap(self._sizes, head.size)) is not None:
            begin, end, generation = missing
            await self._copy(head, begin, end, generation or self._generation)
        self._covered = head.size
        await self._tidy()

    # Where this log's backup goes on.

    async def _join(self, head: Head) -> None:
        listed = await asyncio.to_thread(self._source.target.list, self._source.gateway_id)
        found = {name: item for item in listed if (name := read_name(item.name)) is not None}
        epoch = epoch_of(head.origin)
        self._sizes = {name: item for name, item in found.items() if name.epoch == epoch}
        newest = max((name.generation for name in self._sizes), default=1)
        agreed = await self._agreed(head)
        beyond = [name for name in self._sizes if name.end > agreed]
        if beyond:  # of a disk that went another way, or damaged: it stays, and counts no more
            self._sizes = {name: item for name, item in self._sizes.items() if name not in beyond}
            newest += 1
            log.warning(
                "backup goes on beside objects that are not this log's",
                extra={"leaf": agreed, "objects": len(beyond), "generation": newest},
            )
        self._epoch, self._generation, self._covered = epoch, newest, agreed

    async def _agreed(self, head: Head) -> int:
        """Up to which leaf the backup there is of this very log."""
        names = sorted(self._sizes, key=lambda name: (name.generation, name.end), reverse=True)
        for name in [name for name in names if name.end <= head.size][:MAX_LOOKED_BACK]:
            try:
                there = await asyncio.to_thread(fetch, self._source, name)
            except BackupRefused as refused:
                log.warning("backup object refused", extra={"object": str(name), "reason": str(refused)})
                continue
            if there.header.root == await self._store.root_at(name.end):
                return name.end
        return 0

    # Copies.

    async def _copy(self, head: Head, begin: int, end: int, generation: int) -> None:
        entries = await self._read(begin, end)
        remains = await self._remains(head)
        await self._upload(begin, entries, generation, remains)

    async def _read(self, begin: int, end: int) -> list[PulledEntry]:
        """As many as go into one object, at least one."""
        entries: list[PulledEntry] = []
        size = 0
        while begin + len(entries) < end and len(entries) < MAX_ENTRIES and size < MAX_BYTES:
            at = begin + len(entries)
            batch = await self._store.read_batch(at, min(256, end - at))
            try:
                entries += [logged(entry) for entry in batch.entries]
            except BackupRefused as refused:
                raise NeedsPerson(
                    f"{refused}: the backup cannot be whole",
                    'see docs/backup.md, "A log that was pruned before"',
                ) from None
            size += sum(len(body) for entry in entries[at - begin :] for body in entry.objects)
        return entries

    async def _upload(
        self, begin: int, entries: Sequence[PulledEntry], generation: int, remains: Remains
    ) -> Name:
        end = begin + len(entries)
        header = Header(
            gateway_id=self._source.gateway_id,
            key=self._key,
            epoch=self._epoch,
            generation=generation,
            begin=begin,
            end=end,
            root=await self._store.root_at(end),
            made_at_ms=self._clock.unix_ns() // 1_000_000,
            remains=remains,
        )
        sealed = await asyncio.to_thread(self._sealed, header, entries)
        self._require_budget(len(sealed))
        place = (self._source.gateway_id, self._epoch, generation, begin, end)
        name = Name(*place, sha256(sealed).hexdigest())
        await asyncio.to_thread(self._source.target.create, str(name), sealed)
        self._book.uploaded_more(len(sealed))
        await self._verify(name)
        self._sizes[name] = Listed(str(name), len(sealed), self._clock.unix_ns() / 1e9)
        log.info("backed up", extra={"object": str(name), "bytes": len(sealed)})
        return name

    def _sealed(self, header: Header, entries: Sequence[PulledEntry]) -> bytes:
        return self._source.seal.seal(write_range(header, entries, self._sign))

    def _require_budget(self, size: int) -> None:
        if not self._may_send():
            raise OverBudget("the gateway's traffic of this month is used up; backups wait for the next")
        most = self._settings.monthly_bytes
        if most and self._book.uploaded_this_month() + size > most:
            raise OverBudget(
                f"backup.monthly_mb: {most // 10**6} MB are used up; nothing is uploaded until the month ends"
            )

    async def _verify(self, name: Name) -> None:
        """Read back: what a target took and cannot give is no backup."""
        try:
            await asyncio.to_thread(fetch, self._source, name)
        except BackupRefused as refused:
            raise TargetFailed(f"backup.target gives {name} back otherwise than taken: {refused}") from None

    # Few objects, and none that nobody needs.

    async def _tidy(self) -> None:
        gone = superseded(self._sizes)
        standing = {name: item.size for name, item in self._sizes.items() if name not in set(gone)}
        run = mergeable(standing)
        if run:
            await self._merge(run)
            gone += run
        before = self._clock.unix_ns() / 1e9 - self._settings.keep_s
        await self._delete([name for name in gone if self._sizes[name].modified_s <= before])

    async def _merge(self, run: Sequence[Name]) -> None:
        ranges = [await asyncio.to_thread(fetch, self._source, name) for name in run]
        entries = [entry for found in ranges for entry in found.entries]
        files = {name: body for one in ranges for name, body in one.header.remains.files.items()}
        remains = replace(ranges[-1].header.remains, files=files)
        await self._upload(run[0].begin, entries, run[0].generation, remains)

    async def _delete(self, names: Sequence[Name]) -> None:
        """Only what another object, read back just now, holds as well."""
        checked: set[Name] = set()
        for name in names:
            cover = next(
                other
                for other in self._sizes
                if other not in names
                and other.generation == name.generation
                and other.begin <= name.begin
                and name.end <= other.end
            )
            if cover not in checked:
                await self._verify(cover)
                checked.add(cover)
            try:
                await asyncio.to_thread(partial(self._source.target.delete, str(name)))
            except TargetFailed as error:  # a bucket that lets nobody delete is a good one
                log.info("an old backup object stays", extra={"object": str(name), "reason": str(error)})
                return
            del self._sizes[name]
