"""Tokens: who may act on the gateway over HTTP, on what, and until when.

A token is ``ogt_`` and 32 random bytes in base64url; only its SHA-256 is kept, which is enough for a
secret of 256 bits. Reading the pages needs none.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

PREFIX = "ogt_"
SECRET_BYTES = 32
MAX_TOKENS = 64
MAX_NAME = 32


class Scope(StrEnum):
    """What a token allows."""

    SYNC = "sync"
    RESTART = "restart"
    TEST = "test"
    CARRY = "carry"

    @property
    def meaning(self) -> str:
        """In words."""
        return _MEANINGS[self]


_MEANINGS = {
    Scope.SYNC: "try the coordinator at once",
    Scope.RESTART: "run a radio anew",
    Scope.TEST: "test a radio",
    Scope.CARRY: "export and import bundles",
}


class TokenRefused(Exception):
    """Whoever asked may not; the message says why, in words for them."""


class TokensInvalid(ValueError):
    """The kept tokens cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """``digest``: SHA-256 of the secret. Times in milliseconds since 1970 UTC."""

    name: str
    digest: bytes
    scopes: frozenset[Scope]
    made_ms: int
    expires_ms: int


def secret_of(random: bytes) -> str:
    """What the bearer keeps, of SECRET_BYTES random bytes; 47 characters."""
    return PREFIX + urlsafe_b64encode(random).rstrip(b"=").decode()


def digest_of(secret: str) -> bytes:
    """What we keep of it."""
    return hashlib.sha256(secret.encode()).digest()


def judge(tokens: Iterable[Token], secret: str, scope: Scope, now_ms: int) -> Token:
    """The token that was shown. Raises TokenRefused."""
    digest = digest_of(secret)
    found = [token for token in tokens if hmac.compare_digest(token.digest, digest)]
    if not found:
        raise TokenRefused("this token is not known here, or was revoked")
    token = found[0]
    if now_ms >= token.expires_ms:
        raise TokenRefused(f"token {token.name} has expired")
    if scope not in token.scopes:
        raise TokenRefused(
            f"token {token.name} does not allow it: it is for {', '.join(sorted(token.scopes))}"
        )
    return token


def encode(tokens: Iterable[Token]) -> bytes:
    """The file that keeps them."""
    rows = [
        {
            "name": token.name,
            "sha256": token.digest.hex(),
            "scopes": sorted(token.scopes),
            "made_ms": token.made_ms,
            "expires_ms": token.expires_ms,
        }
        for token in tokens
    ]
    return json.dumps({"tokens": rows}, indent=1).encode() + b"\n"


def decode(content: bytes) -> tuple[Token, ...]:
    """What :func:`encode` made. Raises TokensInvalid."""
    try:
        rows = json.loads(content)["tokens"]
        tokens = tuple(_token(row) for row in rows)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TokensInvalid(f"not a list of tokens: {error}") from None
    if len(tokens) > MAX_TOKENS:
        raise TokensInvalid(f"{len(tokens)} tokens, at most {MAX_TOKENS} are allowed")
    return tokens


def _token(row: Mapping[str, Any]) -> Token:
    digest = bytes.fromhex(row["sha256"])
    if len(digest) != hashlib.sha256().digest_size:
        raise ValueError("sha256: 64 hexadecimal digits expected")
    return Token(
        name=str(row["name"]),
        digest=digest,
        scopes=frozenset(map(Scope, row["scopes"])),
        made_ms=int(row["made_ms"]),
        expires_ms=int(row["expires_ms"]),
    )
