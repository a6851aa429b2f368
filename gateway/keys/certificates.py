"""Which certificate is in force: the configured one, or one that replaced it while the gateway ran.

    offgrid-gateway replaces SHA-256      in hexadecimal, of the configured file as it was then
    -----BEGIN CERTIFICATE-----           text before this line means nothing to others: RFC 7468 section 2
    …

The configuration's folder is root's; the state directory is the gateway's own. Whoever puts another file in
the configured place means that one: the replacement is of the file that it names, and of no other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gateway.core.certificate import is_self_issued, read_validity
from gateway.core.certificate_dates import Validity
from gateway.errors import KeyFileError
from gateway.keys import durable

_REPLACES = re.compile(rb"offgrid-gateway replaces ([0-9a-f]{64})\n")
_MAX_BYTES = 64 * 1024
_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Certificates:
    """``configured`` is the first one's place, ``rotated`` that of its replacement."""

    configured: Path
    rotated: Path

    def in_force(self) -> Path:
        """Where the certificate is that goes to the coordinator."""
        try:
            replacement = _read(self.rotated)
            named = _REPLACES.match(replacement)
            read_validity(replacement)
            replaced = sha256(_read(self.configured)).hexdigest().encode()
        except (
            OSError,
            ValueError,
        ):  # none, or torn by a failing disk: the configured one is judged at start
            return self.configured
        return self.rotated if named is not None and named[1] == replaced else self.configured

    def validity(self) -> Validity | None:
        """Of the one in force; None for dates that only OpenSSL can read, and where there is none."""
        try:
            return read_validity(_read(self.in_force()))
        except (OSError, ValueError):
            return None

    def is_own(self) -> bool:
        """Whether the one in force is the gateway's own word, so that it may make another."""
        try:
            return is_self_issued(_read(self.in_force()))
        except (OSError, ValueError):
            return False

    def renew(self, private_key_path: Path, gateway_id: str) -> None:
        """A new one for the same key, without an end, durably in the place of the one in force.

        A crash leaves the old or the new one. Raises KeyFileError where it cannot be made or written.
        """
        # 13 MiB of memory until the next restart; a certificate without an end is renewed at most once.
        from gateway.keys.generate import self_signed

        try:
            replaced = sha256(_read(self.configured)).hexdigest()
            pem = self_signed(_read(private_key_path), gateway_id)
            content = f"offgrid-gateway replaces {replaced}\n".encode() + pem
            durable.replace(self.rotated, content, mode=_MODE, owner=durable.folder_owner(self.rotated))
        except (OSError, ValueError) as error:
            raise KeyFileError(f"{self.rotated}: no new certificate can be made: {error}") from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_BYTES)
