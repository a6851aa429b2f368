"""C2SP tlog-checkpoint: the signed tree head of a log.

<origin>
<tree size, decimal>
<base64(root hash, 32 bytes)>
[extension lines, carried and never interpreted]
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.core.merkle import EMPTY_ROOT, HASH_SIZE, MAX_TREE_SIZE
from gateway.core.note import (
    Note,
    NoteInvalid,
    Sign,
    Verified,
    VerifierKey,
    decode_base64,
    is_clean,
    sign_text,
    verify_note,
)

# ASCII digits only: str.isdecimal and int() take every script's.
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log states: its origin, the number of leaves, the RFC 6962 root (32 bytes) over them."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (self.origin, *self.extensions):
            if not line or not is_clean(line):
                raise NoteInvalid(f"line {line[:64]!r} of a checkpoint is empty or holds a control character")
        if not 0 <= self.size <= MAX_TREE_SIZE:
            raise NoteInvalid(f"tree size {self.size} is not in 0..2^63-1")
        if len(self.root) != HASH_SIZE:
            raise NoteInvalid(f"a root of {len(self.root)} bytes, expected {HASH_SIZE}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise NoteInvalid(f"root {self.root.hex()} of an empty tree, expected SHA-256 of nothing")

    def to_text(self) -> str:
        lines = (self.origin, str(self.size), b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def parse_checkpoint(text: str) -> Checkpoint:
    """A note's text as a checkpoint; look only at text whose signature was verified. Raises NoteInvalid."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "":
        raise NoteInvalid("a checkpoint has an origin, a size and a root, each ended by a newline")
    origin, size, root, *extensions = lines
    if not _SIZE.fullmatch(size):
        raise NoteInvalid(f"tree size {size[:64]!r} is not a decimal number below 2^63")
    return Checkpoint(origin, int(size), decode_base64(root), tuple(extensions))


def open_checkpoint(
    note: Note, keys: Iterable[VerifierKey], origin: str
) -> tuple[Checkpoint, tuple[Verified, ...]]:
    """What a note from outside states, and who signed it.

    Every signature by one of ``keys`` is right and there is at least one; *which* of them must be there is
    the caller's to ask. Raises NoteInvalid, also when the checkpoint is of another log than ``origin``.
    """
    verified = verify_note(note, keys)
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != origin:
        raise NoteInvalid(f"a checkpoint of {checkpoint.origin[:64]!r}, expected {origin!r}")
    return checkpoint, verified


def sign_checkpoint(checkpoint: Checkpoint, key: VerifierKey, sign: Sign) -> Note:
    """The log's own note. ``key`` is of type 0x01; ``sign`` holds its private half."""
    text = checkpoint.to_text()
    return Note(text, (sign_text(text, key, sign),))
