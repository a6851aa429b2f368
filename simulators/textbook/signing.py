"""Ed25519 (RFC 8032): texts as the wallets sign them, and our own payloads under a label."""

from __future__ import annotations

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError
from nacl.exceptions import ValueError as BadLength
from nacl.signing import SigningKey

PROMISE = b"offgrid/promise"
BEACON = b"offgrid/beacon"
LINK_GATEWAY = b"offgrid/link-gateway"
LINK_COORDINATOR = b"offgrid/link-coordinator"
NOTICE = b"offgrid/notice"
BUNDLE = b"offgrid/bundle"
ORDER = b"offgrid/order"


def verifies(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) over `message` is the one of `key` (32 bytes)."""
    try:
        crypto_sign_open(signature + message, key)
    except (BadSignatureError, BadLength):
        return False
    return True


def sign(key: SigningKey, message: bytes) -> bytes:
    return bytes(key.sign(message).signature)


def labelled(label: bytes, payload: bytes) -> bytes:
    """What is signed where no wallet text and no C2SP note is: 0x00, label, version 1, payload."""
    return b"\x00" + label + b"\x01" + payload
