"""Bundles in and out: what a technician, the page and a mesh ask of the carried folder and the log."""

from __future__ import annotations

import asyncio
import tempfile
from base64 import b64decode, b64encode
from binascii import Error as Base64Invalid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway.carried import Ack, Carried, CarryRefused, Held
from gateway.core.bundle import BundleInvalid, read_head
from gateway.core.note import NoteInvalid, VerifierKey, parse_note
from gateway.core.pin import CoordinatorKey
from gateway.core.sync.checkpoints import Own, Stranger, open_own
from gateway.errors import CommandError
from gateway.model import Stamp
from gateway.services.carrying.bundling import Author, Progress, export, quiet
from gateway.store import Store

PIECE_BYTES = 32 << 10
"""In one request to the control socket, whose lines have 64 KiB; the answer to a reading has four of them."""
MAX_ACK_BYTES = 8 << 10
Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """``outbox``: where exports are made; each export clears it of the one before."""

    store: Store
    carried: Carried
    author: Author
    coordinator: Callable[[], CoordinatorKey | None]
    now: Callable[[], Stamp]
    outbox: Path


class Carrying:
    """Owned by the event loop. ``changed`` is called when a bundle or an ack has come."""

    def __init__(self, around: Surroundings, changed: Callable[[], None] = lambda: None) -> None:
        self._around = around
        self._changed = changed
        self._exporting = asyncio.Lock()
        self._staged = b""

    async def export(
        self,
        since: int | None,
        *,
        everything: bool,
        folder: Path | None = None,
        progress: Progress = quiet,
    ) -> list[Path]:
        """Files with the own log (what is not cosigned, or from leaf ``since``, or ``everything``) and all
        that is carried for others, made in ``folder``, else in the outbox."""
        around = self._around
        async with self._exporting:
            target = folder or around.outbox
            if folder is None:
                await asyncio.to_thread(_cleared, target)
            start = 0 if everything else since
            paths = await export(
                around.store, around.author, target, around.now(), since=start, progress=progress
            )
            return paths + await asyncio.to_thread(self._copies, target)

    async def outgoing(self, name: str, largest: int) -> bytes:
        """A file that the last export made. Raises CommandError."""
        if "/" in name or name.startswith("."):
            raise CommandError("name: one that an export gave")
        path = self._around.outbox / name
        try:
            data = await asyncio.to_thread(_head_of, path, largest + 1)
        except OSError as error:
            raise CommandError(f"{name}: {error.strerror or error}; export again") from error
        if len(data) > largest:
            raise CommandError(f"{name} has more than {largest} bytes; use: offgrid-gateway export")
        return data

    def incoming(self, data: bytes) -> tuple[str, Mapping[str, object]]:
        """What came through the page waits for the act that is named; the newest one does."""
        self._staged = data
        return "import", {"bytes": len(data), "sha256": sha256(data).hexdigest()}

    async def take_file(self, arguments: Arguments) -> object:
        """A bundle or an ack that waits. Raises CommandError."""
        data, self._staged = self._staged, b""
        if sha256(data).hexdigest() != arguments.get("sha256"):
            raise CommandError("no such file waits here; bring it again")
        if data.startswith(b"OGBUNDLE"):
            return await self._take_bundle(data)
        if len(data) > MAX_ACK_BYTES:
            raise CommandError("neither a bundle nor an ack")
        ack = await self.take_ack(data)
        return {"origin": ack.origin, "size": ack.size}

    async def _take_bundle(self, data: bytes) -> object:
        try:
            manifest = await asyncio.to_thread(read_head, data)
        except BundleInvalid as error:
            raise CommandError(f"refused whole: {error}") from error
        have = await self.bring(manifest.content_id, 0, b"")
        if await self.bring(manifest.content_id, have, data[have:]) < manifest.length:
            raise CommandError(f"refused whole: the file ends at byte {len(data)} of {manifest.length}")
        return {"origin": manifest.origin, "start": manifest.start, "size": manifest.size}

    async def make(self, start: int, max_bytes: int) -> None:
        """Bundles of the own log from leaf ``start`` on, kept as those of others are. Raises CommandError."""
        around = self._around
        with tempfile.TemporaryDirectory(dir=around.carried.folder) as folder:
            paths = await export(
                around.store, around.author, Path(folder), around.now(), since=start, max_bytes=max_bytes
            )
            try:
                for path in paths:
                    await asyncio.to_thread(around.carried.adopt, path)
            except CarryRefused as error:
                raise CommandError(str(error)) from error
        self._changed()

    async def bring(self, content_id: bytes, offset: int, data: bytes, hops: int = 0) -> int:
        """Bytes of another gateway's bundle; how many are here now. Raises CommandError."""
        try:
            have = await asyncio.to_thread(self._around.carried.bring, content_id, offset, data, hops)
        except BundleInvalid as error:
            raise CommandError(f"refused whole: {error}") from error
        except CarryRefused as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"the bundle cannot be kept: {error.strerror or error}") from error
        if any(held.content_id == content_id for held in self._around.carried.held):
            self._changed()
        return have

    async def take_ack(self, note: bytes) -> Ack:
        """An ack of the own log marks it acked; another's is carried back. Raises CommandError."""
        try:
            origin = parse_note(note).text.partition("\n")[0]
        except NoteInvalid as error:
            raise CommandError(f"not an ack: {error}") from error
        author = self._around.author
        mine = origin.startswith(f"offgrid/{author.gateway_id}/")
        key = author.key if mine else await asyncio.to_thread(self._around.carried.key_of, origin)
        if key is None:
            raise CommandError(f"an ack of {origin!r}, of which nothing was carried here")
        return await self.take_ack_of(key, note)

    async def take_ack_of(self, key: bytes, note: bytes) -> Ack:
        """As :meth:`take_ack`, the key being known. Raises CommandError."""
        if key == self._around.author.key:
            return await self._own_ack(note)
        try:
            taken = await asyncio.to_thread(self._around.carried.take_ack, note, key)
        except Stranger as error:
            raise CommandError(f"the ack is not believed: {error}") from error
        if taken is None:
            origin = parse_note(note).text.partition("\n")[0]
            return next(one for one in self._around.carried.acks if (one.key, one.origin) == (key, origin))
        self._changed()
        return taken

    async def _own_ack(self, note: bytes) -> Ack:
        """Exactly as an ACK on the link: both signatures, and the own root at that size."""
        around = self._around
        pinned = around.coordinator()
        if pinned is None:
            raise CommandError("the coordinator's key is not known; run: offgrid-gateway register")
        head = await around.store.head()
        try:
            checkpoint = open_own(
                Own(VerifierKey(head.origin, around.author.key), pinned), note, cosigned=True
            )
        except Stranger as error:
            raise CommandError(f"the ack is not believed: {error}") from error
        if checkpoint.size > head.size or await around.store.root_at(checkpoint.size) != checkpoint.root:
            raise CommandError(
                f"this gateway's key has signed another root at {checkpoint.size} than its log has, or "
                "its log is older: let it reach the coordinator over the network, which says how to go on"
            )
        if checkpoint.size > head.acked_size:
            if checkpoint.size > head.signed_size:
                await around.store.record_signed(checkpoint.size, note)
            await around.store.mark_acked(checkpoint.size, note)
        await asyncio.to_thread(around.carried.release, around.author.key, head.origin, checkpoint.size)
        self._changed()
        return Ack(around.author.key, head.origin, checkpoint.size, note)

    def _copies(self, target: Path) -> list[Path]:
        """What is carried for others, and their acks, beside the own files."""
        paths = []
        for held in self._around.carried.held:
            if held.key != self._around.author.key:
                path = (
                    target
                    / f"{held.gateway_id}-{held.origin.rpartition('/')[2]}-{held.start}-{held.size}.bundle"
                )
                path.write_bytes(held.path.read_bytes())
                paths.append(path)
        for ack in self._around.carried.acks:
            _, gateway, epoch = ack.origin.split("/")
            path = target / f"{gateway}-{epoch}-{ack.size}.ack"
            path.write_bytes(ack.note)
            paths.append(path)
        return paths


def commands(carrying: Carrying, carried: Carried, outbox: Path) -> Mapping[str, Callable[[Arguments], Any]]:
    """For the control socket: bytes go in pieces, because the daemon may not see the stick."""

    async def read(arguments: Arguments) -> object:
        name, offset = str(arguments.get("name")), _number(arguments, "offset")
        if "/" in name or name.startswith("."):
            raise CommandError("name: one that an export gave")
        return {"bytes": b64encode(await asyncio.to_thread(_read, outbox / name, offset)).decode()}

    async def piece(arguments: Arguments) -> object:
        content_id, data = _octets(arguments, "id"), _octets(arguments, "bytes")
        return {"have": await carrying.bring(content_id, _number(arguments, "offset"), data)}

    async def listed(arguments: Arguments) -> object:
        return {
            "bundles": [_shown(one) for one in carried.held],
            "acks": [{"origin": one.origin, "size": one.size} for one in carried.acks],
        }

    return {"carry.read": read, "carry.piece": piece, "carry.list": listed}


def acts(carrying: Carrying) -> Mapping[str, Callable[[Arguments], Any]]:
    """Those that are written down."""

    async def make(arguments: Arguments) -> object:
        since = arguments.get("since")
        start = None if since is None else _number(arguments, "since")
        paths = await carrying.export(start, everything=arguments.get("all") is True)
        return {"files": [{"name": path.name, "bytes": path.stat().st_size} for path in paths]}

    async def ack(arguments: Arguments) -> object:
        note = _octets(arguments, "note")
        if len(note) > MAX_ACK_BYTES:
            raise CommandError(f"an ack of {len(note)} bytes, at most {MAX_ACK_BYTES}")
        taken = await carrying.take_ack(note)
        return {"origin": taken.origin, "size": taken.size}

    return {"export": make, "import": carrying.take_file, "import.ack": ack}


def _shown(held: Held) -> dict[str, object]:
    return {
        "id": held.content_id.hex(),
        "origin": held.origin,
        "start": held.start,
        "size": held.size,
        "bytes": held.length,
        "hops": held.hops,
    }


def _cleared(folder: Path) -> None:
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()


def _head_of(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)


def _read(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(4 * PIECE_BYTES)
    except OSError as error:
        raise CommandError(f"{path.name}: {error.strerror or error}; export again") from error


def _number(arguments: Arguments, name: str) -> int:
    value = arguments.get(name)
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise CommandError(f"{name}: a whole number expected")
    return value


def _octets(arguments: Arguments, name: str) -> bytes:
    try:
        return b64decode(str(arguments.get(name, "")), validate=True)
    except (Base64Invalid, ValueError):
        raise CommandError(f"{name}: base64 expected") from None
