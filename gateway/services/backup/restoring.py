"""From backup objects to a database: proven by its root, what does not stand refused by name.

Blocking: it runs before anything is signed, in a thread of its own or a command's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from gateway.backup import Seal, Target, TargetMissing
from gateway.core.backup import (
    BackupRefused,
    Name,
    Past,
    Range,
    Remains,
    chain,
    proven,
    read_name,
    read_range,
)
from gateway.core.merkle import Frontier
from gateway.model import Head
from gateway.store.rebuilding import Rebuilding

Tell = Callable[[str, Mapping[str, object]], None]
"""A line of progress: what happened, and its figures."""

_ENDLESS = 1 << 53


@dataclass(frozen=True, slots=True)
class Source:
    """Whose backups, where, and by which keys. ``key`` (32 bytes) signed them; None: whoever did."""

    target: Target
    seal: Seal
    gateway_id: str
    key: bytes | None


@dataclass(frozen=True, slots=True)
class Restored:
    """What stands now. ``signer`` (32 bytes) is whose log it is; ``refused`` says why, by name."""

    head: Head
    signer: bytes
    made_at_ms: int
    remains: Remains
    refused: Mapping[str, str]
    objects: int


def listed(source: Source) -> list[Name]:
    """Backup objects of this gateway, in order. Raises TargetFailed."""
    found = [read_name(item.name) for item in source.target.list(source.gateway_id)]
    return sorted(name for name in found if name is not None and name.gateway_id == source.gateway_id)


def fetch(source: Source, name: Name) -> Range:
    """Raises BackupRefused for what does not stand, TargetFailed where nobody can tell."""
    try:
        sealed = source.target.read(str(name))
    except TargetMissing:
        raise BackupRefused("missing") from None
    if sha256(sealed).hexdigest() != name.digest:
        raise BackupRefused(f"cut short or altered: its {len(sealed)} bytes are not those of its name")
    return read_range(name, source.seal.open(sealed), source.key)


def restore(
    source: Source, path: Path, free_bytes: Callable[[], int], tell: Tell, *, own: bytes | None = None
) -> Restored | None:
    """Make the database at ``path``, which is not there. None where there is no backup of this gateway.

    ``own`` (32 bytes) is the key that goes on with it, where that may be another than its signer's: then no
    checkpoint counts as signed.

    Raises TargetFailed where the target cannot tell (an older copy must not be taken for the newest then),
    and BackupRefused where objects are there and not one of them can be used.
    """
    names = listed(source)
    if not names:
        return None
    with Rebuilding(path, gateway_id=source.gateway_id, free_bytes=free_bytes) as rebuilding:
        climb = _Climb(source, rebuilding, tell)
        climb.climb(names)
        if climb.last is None:
            reasons = "; ".join(f"{name}: {why}" for name, why in climb.refused.items())
            raise BackupRefused(f"none of {len(names)} backup objects can be used: {reasons}")
        header = climb.last.header
        remains = replace(header.remains, files=climb.files)
        signed = remains.signed if own in (None, header.key) else (0, None)
        head = rebuilding.place(signed=signed, acked=remains.acked)
    return Restored(head, header.key, header.made_at_ms, remains, climb.refused, climb.objects)


@dataclass(slots=True)
class _Climb:
    """One restore: object by object up the log."""

    source: Source
    rebuilding: Rebuilding
    tell: Tell
    last: Range | None = None
    objects: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def climb(self, names: Collection[Name]) -> None:
        past = self._past(names)
        ended: Past | None = None
        for epoch in sorted({name.epoch for name in names}):
            of_epoch = [name for name in names if name.epoch == epoch]
            if ended is not None and not self._begin(ended, of_epoch):
                return
            ended = past.get(epoch)
            self._climb_epoch(of_epoch, ended)
            if ended is None or self.rebuilding.head.size < ended.size:
                return

    def _begin(self, ended: Past, names: Collection[Name]) -> bool:
        """The epoch of these objects, by the first entry of the first good one."""
        for name, _ in chain(names, 0):
            found = self._found(name, Frontier())
            if found is not None:
                self.rebuilding.begin(ended, name.epoch, found.entries[0], found.header.key)
                self.last = found
                return True
        return False

    def _past(self, names: Collection[Name]) -> Mapping[int, Past]:
        """Epochs that are over, by the newest object that tells."""
        for name in sorted(names, key=lambda name: (name.epoch, name.generation, name.end), reverse=True):
            try:
                header = fetch(self.source, name).header
            except BackupRefused as refused:
                self._refuse(name, str(refused))
                continue
            return {past.epoch: past for past in header.remains.past}
        return {}

    def _climb_epoch(self, names: Collection[Name], ended: Past | None) -> None:
        stop = _ENDLESS if ended is None else ended.size
        while self.rebuilding.head.size < stop and self._climb_on(names, stop):
            pass
        beyond = [name for name in names if name.end > self.rebuilding.head.size]
        if beyond and self.rebuilding.head.size < stop:
            size = self.rebuilding.head.size
            self.tell("no good object leads on", {"leaf": size, "objects_behind": len(beyond)})

    def _climb_on(self, names: Collection[Name], stop: int) -> bool:
        size = self.rebuilding.head.size
        for name, bound in chain([name for name in names if str(name) not in self.refused], size):
            found = self._found(name, self.rebuilding.frontier)
            if found is not None:
                end = min(bound, stop)
                self.rebuilding.adopt(found.entries[size - name.begin : end - name.begin])
                self.last, self.objects = found, self.objects + 1
                self.files |= found.header.remains.files
                self.tell("restored", {"leaves": end, "epoch": name.epoch})
                return True
        return False

    def _found(self, name: Name, frontier: Frontier) -> Range | None:
        try:
            found = fetch(self.source, name)
            if not proven(found, frontier):
                raise BackupRefused("does not follow from the log before it: another root")
        except BackupRefused as refused:
            self._refuse(name, str(refused))
            return None
        return found

    def _refuse(self, name: Name, why: str) -> None:
        if str(name) not in self.refused:
            self.refused[str(name)] = why
            self.tell("backup object refused", {"object": str(name), "reason": why})
