"""The golden bundle, read by the gateway and by the coordinator's own reader, and written again."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import zstandard

from gateway.core.bundle import head_length, pack_chunk, read_head, walk
from gateway.core.varint import unzigzag, zigzag
from gateway.core.wallet.objects import decode_object
from gateway.model import EntryKind, LoggedEntry
from simulators.coordinator import bundles

FOLDER = Path(__file__).parent / "bundle"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "bundle.json").read_text())
FILE = (FOLDER / EXPECTED["file"]).read_bytes()


def test_the_head_holds_what_is_documented_and_is_written_to_the_byte() -> None:
    manifest = read_head(FILE)
    assert manifest.to_bytes() == FILE[: head_length(FILE[:12])]
    assert manifest.content_id.hex() == EXPECTED["content_id"]
    assert manifest.key.hex() == EXPECTED["key"]
    assert (manifest.origin, manifest.start, manifest.size) == tuple(
        EXPECTED[name] for name in ("origin", "start", "size")
    )
    assert [one.hex() for one in manifest.peaks] == EXPECTED["peaks"]
    assert manifest.checkpoint.decode() == EXPECTED["checkpoint"]
    marks = [[mark.entries, mark.length, mark.hash.hex()] for mark in manifest.chunks]
    assert marks == EXPECTED["chunks"]
    assert manifest.signature.hex() == EXPECTED["signature"]
    assert manifest.length == len(FILE)


def test_both_ends_read_the_same_entries_and_objects() -> None:
    (chunk,) = walk(io.BytesIO(FILE).read)
    entries = chunk.batch.entries
    assert {entry.kind for entry in entries} == {EntryKind.SNAPSHOT}
    assert any(len(entry.objects) > 2 for entry in entries)
    head = bundles.read_head(io.BytesIO(FILE))
    assert head.content_id.hex() == EXPECTED["content_id"]
    theirs, objects, root, signature = bundles.unpack(FILE[len(head.raw) :], head.start)
    assert [(one.received_at, one.count) for one in theirs] == [
        (entry.received_at_ms, len(entry.objects)) for entry in entries
    ]
    assert objects == [(item.hash, item.body) for entry in entries for item in entry.objects]
    assert (root, signature) == (chunk.root, chunk.signature)


def test_what_was_read_is_packed_to_the_same_bytes() -> None:
    (chunk,) = walk(io.BytesIO(FILE).read)
    (mark,) = read_head(FILE).chunks
    batch = replace(chunk.batch, entries=tuple(map(_known, chunk.batch.entries)))
    again = pack_chunk(replace(chunk, batch=batch))
    assert zstandard.decompress(again) == zstandard.decompress(FILE[-mark.length :])


def _known(entry: LoggedEntry) -> LoggedEntry:
    """With the identities of its payments, as the store gives it."""
    return replace(
        entry, objects=tuple(replace(item, identity=_identity(item.body)) for item in entry.objects)
    )


def _identity(body: bytes | None) -> bytes | None:
    return getattr(decode_object(body or b""), "identity", None) if body and body[1] in (1, 6) else None


def test_zigzag_is_read_back() -> None:
    assert [unzigzag(zigzag(number)) for number in (-(1 << 52), -3, -1, 0, 1, 7)] == [
        -(1 << 52), -3, -1, 0, 1, 7,
    ]  # fmt: skip
