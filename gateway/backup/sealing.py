"""Encryption in the age format (age-encryption.org/v1), for two keys: the gateway's and the operator's.

``pyrage`` is imported when a backup is configured. Any age tool opens an object:
``age --decrypt --identity FILE object | zstd --decompress``.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.core.backup import BackupRefused
from gateway.errors import KeyFileError

_MAX_BYTES = 16 * 1024
_SECRET = "AGE-SECRET-KEY-1"  # noqa: S105 - how such a key begins


@dataclass(frozen=True, slots=True)
class BackupKey:
    """An age X25519 identity. ``recipient`` is its public half, ``age1…``."""

    recipient: str
    identity: Any  # of pyrage, which has no types

    def __repr__(self) -> str:
        return f"BackupKey({self.recipient})"


class Seal:
    """Seals for the gateway's own key and the operator's; opens by the one private key that is here."""

    def __init__(self, key: BackupKey, operator: str | None = None) -> None:
        self._key = key
        self._recipients = _recipients([key.recipient, *([operator] if operator else [])])

    def seal(self, plain: bytes) -> bytes:
        import pyrage

        sealed: bytes = pyrage.encrypt(plain, self._recipients)
        return sealed

    def open(self, sealed: bytes) -> bytes:
        """Raises BackupRefused for what was sealed for other keys, cut short or altered."""
        import pyrage

        try:
            plain: bytes = pyrage.decrypt(sealed, [self._key.identity])
        except pyrage.DecryptError as error:
            raise BackupRefused(f"cannot be opened by the key {self._key.recipient[:12]}…: {error}") from None
        return plain


def make_backup_key() -> bytes:
    """A new key file's content, as age-keygen writes it."""
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    return f"# public key: {identity.to_public()}\n{identity}\n".encode()


def read_key(path: Path, *, private: bool = True) -> BackupKey:
    """The age identity in a file, by ``keygen`` or age-keygen. Raises KeyFileError, which says what to do;
    also for one that others can read, where ``private``."""
    import pyrage

    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            text = file.read(_MAX_BYTES).decode("ascii", "replace")
    except FileNotFoundError:
        raise KeyFileError(f"{path}: no backup key here; run: offgrid-gateway keygen") from None
    except OSError as error:
        raise KeyFileError(f"{path}: the backup key cannot be read: {error.strerror}") from error
    if private and mode & 0o077:
        raise KeyFileError(f"{path}: others can read this key (mode {mode:04o}); run: chmod 600 {path}")
    lines = [line.strip() for line in text.splitlines() if line.startswith(_SECRET)]
    try:
        identity = pyrage.x25519.Identity.from_str(lines[0])
    except (IndexError, ValueError, pyrage.IdentityError):
        raise KeyFileError(f"{path}: no age key ({_SECRET}…) in it") from None
    return BackupKey(str(identity.to_public()), identity)


def read_recipient(text: str) -> str:
    """Raises ValueError for what is no age X25519 recipient."""
    _recipients([text])
    return text


def _recipients(texts: Sequence[str]) -> list[Any]:
    import pyrage

    try:
        return [pyrage.x25519.Recipient.from_str(text) for text in texts]
    except pyrage.RecipientError as error:
        raise ValueError(f"no age public key (age1…): {error}") from None
