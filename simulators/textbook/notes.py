"""C2SP signed-note, tlog-checkpoint and cosignature/v1.

<origin>\\n<size>\\n<root, base64>\\n\\n— <key name> <base64 of key id (4 bytes) and signature>\\n…
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256

from nacl.signing import SigningKey

from simulators.textbook.cbor import Malformed
from simulators.textbook.merkle import EMPTY_ROOT
from simulators.textbook.signing import sign, verifies

ED25519 = 1
COSIGNATURE = 4
MAX_NOTE = 4096
_SIGNATURE_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: origin, number of leaves, root (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A public key (32 bytes) under its name, of type Ed25519 or cosignature/v1."""

    name: str
    key: bytes
    type: int = ED25519

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.key).digest()[:4]

    def vkey(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64encode(bytes([self.type]) + self.key).decode()}"

    def verifies(self, text: str, signature: bytes) -> bool:
        if self.type == ED25519:
            return verifies(self.key, text.encode(), signature)
        if len(signature) != 72:
            return False
        return verifies(self.key, _cosigned(text, int.from_bytes(signature[:8], "big")), signature[8:])


def parse_vkey(vkey: str) -> NoteKey:
    """Raises `Malformed` where name, id and key do not belong together."""
    name, _, rest = vkey.partition("+")
    key_id, _, encoded = rest.partition("+")
    raw = _base64(encoded)
    if len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE):
        raise Malformed("a key of an unknown type")
    key = NoteKey(name, raw[1:], raw[0])
    if key.vkey() != vkey or key.id.hex() != key_id:
        raise Malformed("the key's id is another")
    return key


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """The note with the log's own signature, under the origin's name."""
    name = NoteKey(checkpoint.origin, bytes(key.verify_key))
    return signed_note(checkpoint, name, sign(key, checkpoint.text().encode()))


def signed_note(checkpoint: Checkpoint, key: NoteKey, signature: bytes) -> bytes:
    """The note that carries this signature, unverified."""
    return f"{checkpoint.text()}\n{_line(key, signature)}".encode()


def signature_of(note: bytes, key: NoteKey) -> bytes:
    """What the one line of `key` in a note says: a cosignature begins with its time, 8 bytes."""
    _, signatures = parse(note)
    (found,) = [sig for name, key_id, sig in signatures if (name, key_id) == (key.name, key.id)]
    return found


def cosign(note: bytes, name: str, key: SigningKey, time_s: int) -> bytes:
    """The note with one more line, a cosignature/v1 of that time (seconds since 1970)."""
    text = note.decode().partition("\n\n")[0] + "\n"
    signature = sign(key, _cosigned(text, time_s))
    return with_cosignature(note, NoteKey(name, bytes(key.verify_key), COSIGNATURE), time_s, signature)


def with_cosignature(note: bytes, key: NoteKey, time_s: int, signature: bytes) -> bytes:
    """The note with this line added, unverified."""
    return note + _line(key, time_s.to_bytes(8, "big") + signature).encode()


def parse(note: bytes) -> tuple[Checkpoint, list[tuple[str, bytes, bytes]]]:
    """The checkpoint and its signatures (name, key id, signature), unverified; raises `Malformed`."""
    if len(note) > MAX_NOTE:
        raise Malformed("the note is too long")
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise Malformed("the note is not UTF-8") from error
    text, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n") or re.search(r"[\x00-\x09\x0b-\x1f]", whole):
        raise Malformed("not a signed note")
    return _checkpoint(text), [_signature(line) for line in lines[:-1].split("\n")]


def verified(note: bytes, *keys: NoteKey) -> Checkpoint:
    """The checkpoint that every one of `keys` has signed; raises `Malformed`."""
    checkpoint, signatures = parse(note)
    for key in keys:
        ours = [sig for name, key_id, sig in signatures if (name, key_id) == (key.name, key.id)]
        if len(ours) != 1 or not key.verifies(checkpoint.text(), ours[0]):
            raise Malformed(f"no valid signature of {key.name}")
    return checkpoint


def _checkpoint(text: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) != 3 or not lines[0] or not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]):
        raise Malformed("not a checkpoint")
    checkpoint = Checkpoint(lines[0], int(lines[1]), _base64(lines[2]))
    if len(checkpoint.root) != 32 or (checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT):
        raise Malformed("no root of that size")
    return checkpoint


def _signature(line: str) -> tuple[str, bytes, bytes]:
    match = _SIGNATURE_LINE.fullmatch(line)
    if not match:
        raise Malformed("not a signature line")
    raw = _base64(match[2])
    return match[1], raw[:4], raw[4:]


def _line(key: NoteKey, signature: bytes) -> str:
    return f"— {key.name} {b64encode(key.id + signature).decode()}\n"


def _cosigned(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def _base64(text: str) -> bytes:
    try:
        raw = b64decode(text, validate=True)
    except ValueError as error:
        raise Malformed("not base64") from error
    if b64encode(raw).decode() != text:
        raise Malformed("base64 with bits to spare")
    return raw
