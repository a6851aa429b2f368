"""One backup object in the clear: a signed header, and behind it the entries of a range of the log.

    object = zstd(CBOR [header bstr, signature bstr64, entries bstr])
    header = CBOR [1, gateway id, key bstr32, epoch, generation, begin, end, root bstr32, made_at,
                   SHA-256(entries), remains]
    entries = CBOR [[kind, received_at, quality, radio, base or null, ops or null, [object bstr…]]…]
    remains = CBOR map, see :class:`Remains`

``root`` is the log's at ``end``; the signature is the gateway's, label ``offgrid/backup``, over the header.
Encryption for a public key says nothing of who encrypted: this signature does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self

import zstandard

from gateway.core import cbor
from gateway.core.backup.names import Name
from gateway.core.cbor import CborError, as_array, as_bytes, as_text, as_uint
from gateway.core.entry import Entry, objects_root
from gateway.core.labels import Label, labelled
from gateway.core.merkle import Frontier
from gateway.core.note import Sign
from gateway.core.sync.pulled import PulledEntry
from gateway.core.wallet.objects import object_hash
from gateway.core.wallet.signature import verifies
from gateway.model import EntryKind, ListDifference, LoggedEntry, TimeQuality

VERSION = 1
MAX_PLAIN_BYTES = 64 << 20
"""Of one object inflated: a Pi of 512 MiB restores it."""
MAX_FILE_BYTES = 1 << 20
MAX_NAME = 64
_MAX_NOTE = 8192
_MAX_TOLD = 4096

_LEVEL = 3  # half of an object is signatures, which no level makes smaller


class BackupRefused(ValueError):
    """An object that must not be restored from; the message says what was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """An epoch that is over: ``size`` leaves stay in it. ``why`` and ``fix`` were told of its end."""

    epoch: int
    size: int
    signed_size: int
    signed_note: bytes | None
    cosigned_note: bytes | None
    ended_at_ms: int
    why: str
    fix: str
    seen: bool

    def to_array(self) -> list[object]:
        return [getattr(self, name) for name in self.__slots__]

    @classmethod
    def read(cls, value: object) -> Self:
        """Raises CborError."""
        epoch, size, signed_size, signed, cosigned, ended_at, why, fix, seen = as_array(value, 9)
        return cls(
            epoch=as_uint(epoch),
            size=as_uint(size),
            signed_size=as_uint(signed_size),
            signed_note=_note(signed),
            cosigned_note=_note(cosigned),
            ended_at_ms=as_uint(ended_at),
            why=as_text(why, _MAX_TOLD),
            fix=as_text(fix, _MAX_TOLD),
            seen=seen is True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What a restored disk needs beside the log. The gateway's private key is never among it.

    ``signed`` and ``acked`` are sizes with their notes; ``pin`` is the coordinator's vkey. ``files`` are
    small files of the state directory, whole or their last part. ``past`` are the epochs that are over.
    """

    signed: tuple[int, bytes | None] = (0, None)
    acked: tuple[int, bytes | None] = (0, None)
    pin: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    past: tuple[Past, ...] = ()

    def to_map(self) -> dict[str, object]:
        return {
            "signed": [*self.signed],
            "acked": [*self.acked],
            "pin": self.pin,
            "files": dict(self.files),
            "past": [past.to_array() for past in self.past],
        }

    @classmethod
    def read(cls, value: object) -> Self:
        """Raises CborError; keys that a newer program wrote are left."""
        if type(value) is not dict:
            raise CborError("a map expected")
        pin, files = value.get("pin"), value.get("files", {})
        if type(files) is not dict:
            raise CborError("a map of files expected")
        return cls(
            signed=_mark(value.get("signed")),
            acked=_mark(value.get("acked")),
            pin=None if pin is None else as_text(pin, 512),
            files={
                as_text(name, MAX_NAME): as_bytes(content, limit=MAX_FILE_BYTES)
                for name, content in files.items()
            },
            past=tuple([Past.read(past) for past in as_array(value.get("past", []))]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Whose leaves ``begin`` to ``end`` these are. ``made_at_ms``: milliseconds since 1970."""

    gateway_id: str
    key: bytes
    epoch: int
    generation: int
    begin: int
    end: int
    root: bytes
    made_at_ms: int
    remains: Remains


@dataclass(frozen=True, slots=True)
class Range:
    """An object whose header is its signer's and whose entries are the header's."""

    header: Header
    entries: tuple[PulledEntry, ...]


def write_range(header: Header, entries: Sequence[PulledEntry], sign: Sign) -> bytes:
    """The object in the clear."""
    packed = cbor.encode([_row(entry) for entry in entries])
    fields = [
        VERSION,
        header.gateway_id,
        header.key,
        header.epoch,
        header.generation,
        header.begin,
        header.end,
    ]
    tail = [header.root, header.made_at_ms, sha256(packed).digest(), header.remains.to_map()]
    head = cbor.encode([*fields, *tail])
    signature = sign(labelled(Label.BACKUP, head))
    return zstandard.ZstdCompressor(level=_LEVEL).compress(cbor.encode([head, signature, packed]))


def read_range(name: Name, plain: bytes, key: bytes | None) -> Range:
    """What the object called ``name`` holds. ``key`` (32 bytes) is the gateway's; None: whoever signed it.

    Raises BackupRefused for what is damaged, of another name, gateway or key.
    """
    try:
        head, signature, packed = as_array(cbor.decode(_inflated(plain)), 3)
        header = _header(as_bytes(head), as_bytes(packed))
        _require_named(name, header)
        if key is not None and header.key != key:
            raise BackupRefused(f"of another key, {header.key.hex()[:16]}…: a foreign gateway's")
        if not verifies(header.key, as_bytes(signature, 64), labelled(Label.BACKUP, as_bytes(head))):
            raise BackupRefused("not signed by the gateway that it names")
        entries = tuple([_entry(row) for row in as_array(cbor.decode(as_bytes(packed)))])
    except (CborError, ValueError) as error:
        raise error if isinstance(error, BackupRefused) else BackupRefused(f"damaged: {error}") from None
    if len(entries) != header.end - header.begin:
        raise BackupRefused(f"{len(entries)} entries, {header.end - header.begin} named")
    return Range(header, entries)


def proven(found: Range, frontier: Frontier) -> bool:
    """Whether the log of ``frontier`` and these entries, from its size on, give the header's root."""
    own = found.entries[frontier.size - found.header.begin :]
    return frontier.extend(leaf_hashes(own)).root() == found.header.root


def leaf_hashes(entries: Sequence[PulledEntry]) -> list[bytes]:
    """Of the log, in order."""
    return [_leaf_hash(entry) for entry in entries]


def logged(entry: LoggedEntry) -> PulledEntry:
    """An entry as it is backed up. Raises BackupRefused where its bodies are gone."""
    bodies = [item.body for item in entry.objects if item.body is not None]
    if len(bodies) != len(entry.objects):
        raise BackupRefused(f"leaf {entry.index} was pruned before it was backed up")
    return PulledEntry(
        kind=entry.kind,
        received_at_ms=entry.received_at_ms,
        quality=TimeQuality(entry.quality),
        radio=entry.radio,
        list=entry.list,
        objects=tuple(bodies),
    )


def _leaf_hash(entry: PulledEntry) -> bytes:
    root = objects_root([object_hash(body) for body in entry.objects])
    received = entry.received_at_ms, entry.quality
    return Entry(entry.kind, root, len(entry.objects), *received, entry.radio).leaf_hash()


def _require_named(name: Name, header: Header) -> None:
    """A good object under another one's name would put leaves where they are not."""
    said = header.gateway_id, header.epoch, header.generation, header.begin, header.end
    if said != (name.gateway_id, name.epoch, name.generation, name.begin, name.end):
        where = f"{header.gateway_id} {header.epoch}-{header.generation}/{header.begin}-{header.end}"
        raise BackupRefused(f"swapped: inside it is {where}")


def _row(entry: PulledEntry) -> list[object]:
    listed = (None, None) if entry.list is None else (entry.list.base, entry.list.ops)
    head = int(entry.kind), entry.received_at_ms, int(entry.quality), entry.radio
    return [*head, *listed, list(entry.objects)]


def _entry(value: object) -> PulledEntry:
    kind, received_at, quality, radio, base, ops, bodies = as_array(value, 7)
    listed = None
    if ops is not None:
        listed = ListDifference(None if base is None else as_uint(base), as_bytes(ops))
    return PulledEntry(
        kind=EntryKind(as_uint(kind)),
        received_at_ms=as_uint(received_at),
        quality=TimeQuality(as_uint(quality)),
        radio=as_text(radio, 16),
        list=listed,
        objects=tuple([as_bytes(body) for body in as_array(bodies)]),
    )


def _header(data: bytes, packed: bytes) -> Header:
    fields = as_array(cbor.decode(data))
    if not fields or fields[0] != VERSION:
        raise BackupRefused(f"of version {fields[0] if fields else None}: install the newer program")
    _, gateway_id, key, epoch, generation, begin, end, root, made_at, digest, remains = as_array(fields, 11)
    if sha256(packed).digest() != as_bytes(digest, 32):
        raise BackupRefused("damaged: its entries are not those that were signed")
    return Header(
        gateway_id=as_text(gateway_id, MAX_NAME),
        key=as_bytes(key, 32),
        epoch=as_uint(epoch),
        generation=as_uint(generation),
        begin=as_uint(begin),
        end=as_uint(end),
        root=as_bytes(root, 32),
        made_at_ms=as_uint(made_at),
        remains=Remains.read(remains),
    )


def _mark(value: object) -> tuple[int, bytes | None]:
    size, note = as_array(value, 2)
    return as_uint(size), _note(note)


def _note(value: object) -> bytes | None:
    return None if value is None else as_bytes(value, limit=_MAX_NOTE)


def _inflated(data: bytes) -> bytes:
    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= MAX_PLAIN_BYTES:
            raise BackupRefused(f"damaged: {size} bytes inflated, at most {MAX_PLAIN_BYTES}")
        return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BackupRefused(f"damaged: {error}") from None
