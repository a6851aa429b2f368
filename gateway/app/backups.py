"""Backups: what they are made from, and a wiped disk that comes back before anything is signed."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.app import settings
from gateway.clock import Clock
from gateway.config import Config
from gateway.core.backup import Past, Remains
from gateway.core.pin import CoordinatorKey
from gateway.core.vitals import BackupVitals
from gateway.errors import FatalError
from gateway.keys import Identity, durable, handed_over
from gateway.keys.pin import store_pin
from gateway.model import Beginning, Halt, Head, Stamp, TimeQuality
from gateway.services import systemd
from gateway.services.supervision import Service
from gateway.store import Store

if TYPE_CHECKING:
    from gateway.backup import BackupKey, Target
    from gateway.services.backup import Backup, Restored, Source

log = logging.getLogger(__name__)

FILE_BYTES = 256 << 10
"""Of one small file; of the audit log its last lines."""

_EXTEND = "EXTEND_TIMEOUT_USEC=300000000"


def target(config: Config, where: str | None = None) -> Target:
    """The configured target, or another place of the same kind. Raises FatalError without the extra."""
    section = config.backup
    where = where or (section.target if section else "")
    try:
        if not where.startswith("s3://"):
            from gateway.backup import Directory

            return Directory(Path(where))
        from gateway.backup.bucket import Bucket, BucketSettings
    except ModuleNotFoundError as error:
        raise _without(error) from None
    named = section.credentials_path if section else None
    return Bucket(
        BucketSettings(
            url=where,
            endpoint=section.endpoint if section else None,
            region=section.region if section else None,
            credentials_path=None if named is None else handed_over(named, os.environ),
            allow_http=bool(section and section.endpoint and section.endpoint.startswith("http:")),
        )
    )


def key_here(config: Config) -> BackupKey:
    """The key beside the gateway's own. Raises KeyFileError."""
    try:
        from gateway.backup import read_key

        path = handed_over(config.backup_key_path, os.environ)
        return read_key(path, private=path == config.backup_key_path)
    except ModuleNotFoundError as error:
        raise _without(error) from None


def source(
    config: Config, signer: bytes | None, *, key: BackupKey | None = None, where: str | None = None
) -> Source:
    """Backups of this gateway id that ``signer`` (32 bytes) signed; ``key`` opens them, else the one here."""
    from gateway.backup import Seal
    from gateway.services.backup import Source

    operator = config.backup.operator_key if config.backup else None
    try:
        seal = Seal(key or key_here(config), operator)
    except ValueError as error:
        raise FatalError(f"backup.operator_key: {error}; make one with: age-keygen -o operator.key") from None
    return Source(target(config, where), seal, config.gateway.id, signer)


def _without(error: ModuleNotFoundError) -> FatalError:
    return FatalError(
        f"backups need the package {error.name}, which is not installed; "
        "run: pip install --require-hashes -r requirements/pi.lock"
    )


# The way out.


class Backups:
    """The service, where backups are configured, and what the daemon says of it."""

    def __init__(
        self,
        config: Config,
        identity: Identity,
        store: Store,
        clock: Clock,
        over_budget: Callable[[], bool] = lambda: False,
    ) -> None:
        self._config = config
        self._identity = identity
        self._store = store
        self._clock = clock
        self._over_budget = over_budget
        self._files: dict[str, bytes] = {}  # as they were last sent
        self._backup: Backup | None = None
        self._started = clock.monotonic()

    def services(self) -> Mapping[str, Service]:
        return {} if self._config.backup is None else {"backup": self.run}

    def acts(self) -> Mapping[str, Any]:
        return {} if self._config.backup is None else {"backup.now": self.now}

    async def run(self) -> None:
        """Built anew for each run: keys and credentials may have changed."""
        self._backup = await asyncio.to_thread(self._built)
        self._files = {}
        await self._backup.run()

    def commands(self) -> Mapping[str, Any]:
        """What only looks."""
        return {"backup.root": self.root}

    async def root(self, arguments: Mapping[str, Any]) -> object:
        """The own log's root at a size of an epoch, in hex; null where it has none such."""
        head, size = await self._store.head(), arguments.get("size")
        if arguments.get("epoch") != head.epoch or type(size) is not int or not 0 <= size <= head.size:
            return None
        return (await self._store.root_at(size)).hex()

    async def now(self, arguments: Mapping[str, Any]) -> object:
        """One round at once. Raises TargetFailed."""
        if self._backup is None:
            self._backup = await asyncio.to_thread(self._built)
        vitals = await self._backup.round()
        return {"leaves": vitals.covered, "objects": vitals.objects, "bytes": vitals.bytes}

    def vitals(self) -> BackupVitals | None:
        if self._config.backup is None:
            return None
        if self._backup is None:
            age = self._clock.monotonic() - self._started
            return BackupVitals(age_s=age, covered=0, objects=0, bytes=0, uploaded_bytes=0, failures=0)
        return self._backup.vitals()

    def _built(self) -> Backup:
        from gateway.services.backup import Backup, BackupBook, BackupSettings

        section = self._config.backup
        assert section is not None  # noqa: S101 - else there is no such service
        limits = BackupSettings(
            interval_s=float(section.interval_seconds),
            keep_s=section.keep_days * 86_400.0,
            monthly_bytes=section.monthly_mb * 1_000_000,
        )
        book = BackupBook(self._config.storage.backup_path, self._clock)
        found = source(self._config, self._identity.public_key)
        metered = section.target.startswith("s3://")
        sign, remains, clock = self._identity.sign, self._remains, self._clock
        may_send = (lambda: not self._over_budget()) if metered else (lambda: True)
        return Backup(self._store, found, sign, remains, book, clock, limits, may_send)

    async def _remains(self, head: Head) -> Remains:
        files = await asyncio.to_thread(_small_files, self._config)
        changed = {name: content for name, content in files.items() if self._files.get(name) != content}
        self._files = files
        return Remains(
            signed=(head.signed_size, head.signed_note),
            acked=(head.acked_size, head.cosigned_note),
            pin=_pin(self._config),
            files=changed,
            past=tuple([Past(**past) for past in await self._store.past_epochs()]),
        )


def _paths(config: Config) -> Mapping[str, Path]:
    storage = config.storage
    paths = storage.airtime_path, storage.tokens_path, storage.last_way_path, storage.audit_path
    return {path.name: path for path in paths}


def _small_files(config: Config) -> dict[str, bytes]:
    found = {}
    for name, path in _paths(config).items():
        if path.exists():
            content = path.read_bytes()
            found[name] = content if len(content) <= FILE_BYTES else content[-FILE_BYTES:].partition(b"\n")[2]
    return found


def _pin(config: Config) -> str | None:
    path = config.storage.pin_path
    return path.read_text(encoding="utf-8").strip() if path.exists() else None


# The way back.


async def go_on_under(identity: Identity, restored: Restored, config: Config, clock: Clock) -> None:
    """A log that another key signed goes on under this one, in the next epoch."""
    told = Halt(
        what="the key of this log was lost with its card; it goes on under a new key in a new epoch",
        fix="once the coordinator's operator has accepted the new key, run: offgrid-gateway log resume",
    )
    at = Stamp(clock.unix_ns() // 1_000_000, TimeQuality.HOST)
    async with Store(settings.store_settings(config)) as store:
        why = Beginning(key=identity.public_key, why="new key", told=told, at=at)
        head = await store.begin_epoch(why)
    settings.restored_mark(config).unlink(missing_ok=True)  # under the new origin nothing was ever signed
    log.info("a new epoch begins", extra={"origin": head.origin, "signed_before_by": restored.signer.hex()})


async def restore_if_wiped(config: Config, identity: Identity) -> None:
    """Where there is no database, the one that was backed up; a gateway that never had one begins anew.

    Raises FatalError where nobody can tell which it is: a new log under the old name would fork the old one.
    """
    if config.backup is None or _has_log(config.storage.path):
        return
    try:
        await asyncio.to_thread(_restore, config, identity)
    except _failures() as error:
        raise FatalError(
            f"{config.storage.path} is not there, and its backup cannot be used: {error}; the next start "
            "tries again. To begin an empty log all the same: offgrid-gateway restore --none"
        ) from error


def _failures() -> tuple[type[Exception], ...]:
    from gateway.backup import TargetFailed
    from gateway.core.backup import BackupRefused

    return TargetFailed, BackupRefused


def _has_log(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _restore(config: Config, identity: Identity) -> None:
    found = source(config, identity.public_key)
    settings.make_folder(config)
    log.info("no database here: looking for a backup", extra={"database": str(config.storage.path)})
    restored = restored_from(found, config)
    if restored is None:
        log.info("no backup of this gateway there: a new log begins")


def restored_from(found: Source, config: Config, own: bytes | None = None) -> Restored | None:
    """Make the database and what lies beside it, with the mark that it waits for the coordinator's word.

    ``own`` (32 bytes) is the key that goes on with it, where that may be another than its signer's.
    """
    from gateway.services.backup import restore

    mark = settings.restored_mark(config)
    mark.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    durable.replace(mark, b"", mode=0o640)  # before the database: what is restored is never taken for fresh
    restored = restore(found, config.storage.path, settings.free_bytes(config), _tell, own=own)
    if restored is None:
        mark.unlink()
        return None
    _put_files(config, restored.remains)
    log.info(
        "restored from a backup",
        extra={
            "origin": restored.head.origin,
            "leaves": restored.head.size,
            "root": restored.head.root.hex(),
            "objects": restored.objects,
            "refused": len(restored.refused),
            "made_at": restored.made_at_ms,
        },
    )
    return restored


def _tell(what: str, figures: Mapping[str, object]) -> None:
    log.info(what, extra=dict(figures))
    systemd.notify(_EXTEND)


def _put_files(config: Config, remains: Remains) -> None:
    """Only where nothing stands: what a person put there since counts more."""
    paths = _paths(config)
    for name, content in remains.files.items():
        path = paths.get(name)
        if path is not None and not path.exists():
            durable.create(path, content, mode=0o640)
    if remains.pin is not None and config.network.coordinator_key is None:
        if not config.storage.pin_path.exists():
            store_pin(config.storage.pin_path, CoordinatorKey.parse(remains.pin))
