"""C2SP signed-note: text signed by one or more Ed25519 keys; parsing, formatting, signing, verifying.

    <text, one or more lines>
    <empty line>
    — <key name> <base64(key id, 4 bytes ‖ signature)>     one line for each signature, at least one

Two signature types are known: 0x01, Ed25519 over the text, and 0x04, the timestamped cosignature/v1 of
C2SP tlog-cosignature. Parsing is strict beyond the specification in two points: base64 must be canonical,
and the same signature line may not stand twice; no formatter writes either.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Self

from gateway.core.wallet.signature import SIGNATURE_BYTES, verifies

# The specification asks for 16 signatures at least, and says that one may come to 5 kB (post-quantum).
MAX_SIGNATURES = 16
MAX_NOTE_BYTES = 128 * 1024

# tlog-cosignature: a timestamp must not exceed 2^63 - 1 seconds.
MAX_UNIX_TIME = 2**63 - 1

KEY_ID_BYTES = 4
PUBLIC_KEY_BYTES = 32
_TIME_BYTES = 8
_LINE_START = "— "

Sign = Callable[[bytes], bytes]
"""Ed25519 over the given bytes (RFC 8032): 64 bytes."""


class NoteInvalid(ValueError):
    """A note, key or signature that must not be trusted; the message says what was seen."""


class SignatureType(IntEnum):
    """The identifier byte in front of the public key, part of what the key id hashes."""

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A name and the Ed25519 public key (32 bytes) that signs under it, for one signature type."""

    name: str
    public_key: bytes
    type: SignatureType = SignatureType.ED25519

    def __post_init__(self) -> None:
        _require_key_name(self.name)
        if len(self.public_key) != PUBLIC_KEY_BYTES:
            raise NoteInvalid(f"a public key of {len(self.public_key)} bytes, expected {PUBLIC_KEY_BYTES}")

    @property
    def key_id(self) -> bytes:
        """SHA-256(name ‖ "\\n" ‖ type ‖ public key), the first 4 bytes."""
        return sha256(self.name.encode() + b"\n" + self._typed_key()).digest()[:KEY_ID_BYTES]

    def to_vkey(self) -> str:
        """``<name>+<key id in hex>+<base64(type ‖ public key)>``."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(self._typed_key()).decode()}"

    @classmethod
    def from_vkey(cls, vkey: str) -> Self:
        """Raises NoteInvalid unless ``vkey`` is well formed, of a known type, and its key id is right."""
        name, _, rest = vkey.partition("+")
        key_id, _, encoded = rest.partition("+")
        typed_key = decode_base64(encoded)
        if len(typed_key) != 1 + PUBLIC_KEY_BYTES or typed_key[0] not in list(SignatureType):
            raise NoteInvalid(f"vkey {name!r} is not an Ed25519 key of type 0x01 or 0x04")
        key = cls(name, typed_key[1:], SignatureType(typed_key[0]))
        if key_id != key.key_id.hex():
            raise NoteInvalid(
                f"vkey {name!r} states key id {key_id!r}, the key itself gives {key.key_id.hex()}"
            )
        return key

    def _typed_key(self) -> bytes:
        return bytes([self.type]) + self.public_key


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: ``value`` is 64 bytes for Ed25519, 8 (time) + 64 for cosignature/v1."""

    name: str
    key_id: bytes
    value: bytes

    def to_line(self) -> str:
        return f"{_LINE_START}{self.name} {b64encode(self.key_id + self.value).decode()}\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """``line`` without its newline. Raises NoteInvalid."""
        name, _, encoded = line.removeprefix(_LINE_START).partition(" ")
        if not line.startswith(_LINE_START):
            raise NoteInvalid(f"a signature line begins {line[:8]!r}, expected an em dash and a space")
        _require_key_name(name)
        blob = decode_base64(encoded)
        if len(blob) <= KEY_ID_BYTES:
            raise NoteInvalid(f"a signature of {len(blob)} bytes, expected a key id of 4 and more")
        return cls(name, blob[:KEY_ID_BYTES], blob[KEY_ID_BYTES:])


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that was checked. ``unix_time`` (seconds) is the cosigner's; None for plain Ed25519."""

    key: VerifierKey
    unix_time: int | None


@dataclass(frozen=True, slots=True)
class Note:
    """A text ending in a newline, and its signatures; parsed, not verified."""

    text: str
    signatures: tuple[Signature, ...]

    def __post_init__(self) -> None:
        _require_text(self.text)
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise NoteInvalid(f"{len(self.signatures)} signatures, expected 1 to {MAX_SIGNATURES}")
        if len(set(self.signatures)) != len(self.signatures):
            raise NoteInvalid("the same signature stands twice")

    def with_signature(self, signature: Signature) -> Note:
        """The note with one more signature; unchanged if it is there already."""
        if signature in self.signatures:
            return self
        return Note(self.text, (*self.signatures, signature))

    def to_bytes(self) -> bytes:
        return (self.text + "\n" + "".join(item.to_line() for item in self.signatures)).encode()


def parse_note(raw: bytes) -> Note:
    """Strict signed-note parsing, at most 128 KiB; verifies nothing. Raises NoteInvalid."""
    if len(raw) > MAX_NOTE_BYTES:
        raise NoteInvalid(f"a note of {len(raw)} bytes, at most {MAX_NOTE_BYTES} are read")
    text, blank, lines = _decode_utf8(raw).rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise NoteInvalid("no text, empty line and signature lines, each ended by a newline")
    if lines.count("\n") > MAX_SIGNATURES:
        raise NoteInvalid(f"{lines.count(chr(10))} signatures, at most {MAX_SIGNATURES} are read")
    return Note(text + "\n", tuple(Signature.from_line(line) for line in lines[:-1].split("\n")))


def verify_note(note: Note, keys: Iterable[VerifierKey]) -> tuple[Verified, ...]:
    """Every signature by a known key, checked; signatures of others are ignored.

    Raises NoteInvalid when one by a known key is wrong, and when there is none by a known key.
    """
    known = {(key.name, key.key_id): key for key in keys}
    verified = tuple(
        Verified(key, check_signature(note.text, signature, key))
        for signature in note.signatures
        if (key := known.get((signature.name, signature.key_id)))
    )
    if not verified:
        names = ", ".join(repr(signature.name) for signature in note.signatures)
        raise NoteInvalid(f"signed only by unknown keys: {names}")
    return verified


def sign_text(text: str, key: VerifierKey, sign: Sign) -> Signature:
    """A signature of type 0x01 over the text. ``sign`` holds the private half of ``key``."""
    if key.type is not SignatureType.ED25519:
        raise NoteInvalid(f"key {key.name!r} is of type {key.type:#04x}, a note is signed by type 0x01")
    _require_text(text)
    return Signature(key.name, key.key_id, sign(text.encode()))


def check_signature(text: str, signature: Signature, key: VerifierKey) -> int | None:
    """The time of a cosignature, None for a plain signature. Raises NoteInvalid unless ``key`` made it."""
    if (signature.name, signature.key_id) != (key.name, key.key_id):
        raise NoteInvalid(
            f"a signature by {signature.name!r} {signature.key_id.hex()}, expected {key.name!r}"
        )
    if key.type is SignatureType.ED25519:
        _check_ed25519(key, text.encode(), signature.value)
        return None
    unix_time = int.from_bytes(signature.value[:_TIME_BYTES], "big")
    _check_ed25519(key, _cosigned_message(text, unix_time), signature.value[_TIME_BYTES:])
    return unix_time


def _cosigned_message(text: str, unix_time: int) -> bytes:
    if unix_time > MAX_UNIX_TIME:
        raise NoteInvalid(f"cosigned at {unix_time}, at most 2^63-1 seconds")
    return f"cosignature/v1\ntime {unix_time}\n{text}".encode()


def _check_ed25519(key: VerifierKey, message: bytes, value: bytes) -> None:
    if len(value) != SIGNATURE_BYTES:
        raise NoteInvalid(
            f"an Ed25519 signature of {len(value)} bytes by {key.name!r}, expected {SIGNATURE_BYTES}"
        )
    if not verifies(key.public_key, value, message):
        raise NoteInvalid(f"the signature by {key.name!r} does not verify")


def _decode_utf8(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise NoteInvalid(f"byte {error.start} is not UTF-8") from None


def decode_base64(encoded: str) -> bytes:
    try:
        decoded = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise NoteInvalid(f"{encoded[:64]!r} is not base64") from None
    if b64encode(decoded).decode() != encoded:
        raise NoteInvalid(f"{encoded[:64]!r} is not canonical base64")
    return decoded


def _require_key_name(name: str) -> None:
    if not name or "+" in name or not is_clean(name) or any(char.isspace() for char in name):
        raise NoteInvalid(f"key name {name[:64]!r} is empty or holds a space, a plus or a control character")


def _require_text(text: str) -> None:
    if not text.endswith("\n") or not is_clean(text.replace("\n", "")):
        raise NoteInvalid("a note's text ends in a newline and holds no other control character")


def is_clean(text: str) -> bool:
    """No ASCII control character (below U+0020), and encodable: a lone surrogate is not UTF-8."""
    return not any(char < " " or "\ud800" <= char <= "\udfff" for char in text)
