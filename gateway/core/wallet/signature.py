"""Ed25519 verification by libsodium."""

from __future__ import annotations

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

KEY_BYTES = 32
SIGNATURE_BYTES = 64


def verifies(key: bytes, signature: bytes, text: bytes) -> bool:
    """Whether `signature` (64 bytes) over `text` is valid under `key` (32 bytes), RFC 8032 section 5.1.7.

    libsodium also refuses keys of small order and a non-canonical S, so a signature cannot be altered and
    still verify. The lengths are the caller's promise: libsodium takes signature and text as one,
    and a short signature would eat the text.
    """
    try:
        crypto_sign_open(signature + text, key)
    except BadSignatureError:
        return False
    return True
