"""The wallets' texts, identities and tree, as the wallets in the field make them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


def device_id(key: bytes) -> str:
    return key.hex()[:16]


def snapshot_text(root: bytes, timestamp: int, count: int) -> bytes:
    return f"{root.hex()}:{timestamp}:{count}".encode()


def receipt_text(transaction_id: str, status: str, timestamp: int) -> bytes:
    return f"{transaction_id}:{status}:{timestamp}".encode()


def wallet_root(identities: Sequence[bytes]) -> bytes:
    """Parent = SHA-256 of both children as hexadecimal text; an odd node is paired with itself."""
    if not identities:
        return sha256(b"empty").digest()
    level = [identity.hex() for identity in identities]
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [
            sha256((left + right).encode()).hexdigest()
            for left, right in zip(level[::2], level[1::2], strict=True)
        ]
    return bytes.fromhex(level[0])
