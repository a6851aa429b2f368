"""The coordinator's key, as its registration answer or a person pins it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Self

from gateway.core.note import PUBLIC_KEY_BYTES, NoteInvalid, SignatureType, VerifierKey, decode_base64


@dataclass(frozen=True, slots=True)
class CoordinatorKey:
    """An Ed25519 public key (32 bytes) and, where the whole vkey is known, the name it cosigns under."""

    public_key: bytes
    name: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """From a C2SP vkey of the cosignature/v1 type, or the bare key in base64. Raises NoteInvalid."""
        if "+" in text and not _is_bare(text):
            key = VerifierKey.from_vkey(text)
            if key.type is not SignatureType.COSIGNATURE_V1:
                raise NoteInvalid(f"vkey {key.name!r} is of type 0x{key.type:02x}, a cosigner's is 0x04")
            return cls(key.public_key, key.name)
        if not _is_bare(text):
            raise NoteInvalid("neither a vkey nor the base64 of 32 bytes")
        return cls(decode_base64(text))

    def verifier(self, name: str) -> VerifierKey:
        """The key under ``name``: the pinned one, or, for a bare key, whichever a note claims (its key id
        is a hash over name and key, so a wrong name matches no signature line)."""
        return VerifierKey(self.name or name, self.public_key, SignatureType.COSIGNATURE_V1)

    def __str__(self) -> str:
        if self.name is None:
            return b64encode(self.public_key).decode()
        return self.verifier(self.name).to_vkey()


def _is_bare(text: str) -> bool:
    """Base64 has a ``+`` of its own, so the length tells the two apart before the content does."""
    try:
        return len(decode_base64(text)) == PUBLIC_KEY_BYTES
    except NoteInvalid:
        return False
