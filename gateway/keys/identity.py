"""The gateway's Ed25519 key and its certificate, loaded from PEM files and used to sign.

The daemon reads PKCS #8 itself and leaves the certificate to OpenSSL, which it has loaded for TLS anyway:
the ``cryptography`` package would cost 13 MiB of memory for 48 bytes of DER.
"""

from __future__ import annotations

import os
import ssl
import stat
from base64 import b64decode, b64encode
from pathlib import Path

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair
from nacl.signing import SigningKey

from gateway.errors import KeyFileError

_MAX_BYTES = 16 * 1024

# RFC 8410 section 7: version 0, algorithm 1.3.101.112, an octet string in an octet string; the seed follows.
_PKCS8_ED25519 = bytes.fromhex("302e020100300506032b657004220420")
_SEED_BYTES = 32
_SIGNATURE_BYTES = 64
_BEGIN, _END = "-----BEGIN PRIVATE KEY-----".split(), "-----END PRIVATE KEY-----".split()


class Identity:
    """Who this gateway is: ``public_key`` (32 bytes), and signatures by the key that belongs to it."""

    __slots__ = ("_secret", "certificate_path", "private_key_path", "public_key")

    def __init__(self, seed: bytes, private_key_path: Path, certificate_path: Path) -> None:
        self.public_key, self._secret = crypto_sign_seed_keypair(seed)
        self.private_key_path = private_key_path
        self.certificate_path = certificate_path

    def sign(self, message: bytes) -> bytes:
        """Ed25519 (RFC 8032) over ``message``: 64 bytes."""
        return crypto_sign(message, self._secret)[:_SIGNATURE_BYTES]

    @property
    def registration_key_base64(self) -> str:
        """The raw public key in base64, as the coordinator's registration takes it."""
        return b64encode(self.public_key).decode()

    def __repr__(self) -> str:
        return f"Identity({self.registration_key_base64})"


def load_identity(private_key_path: Path, certificate_path: Path, *, guarded: bool = False) -> Identity:
    """Read both files. Raises :class:`KeyFileError`, which says what to do, if either is missing or damaged,
    if the key can be read by group or others, or if the certificate is for another key.

    ``guarded``: the key's folder keeps others out, as that of systemd's credentials does. They are let to the
    service by an ACL, whose mask stat(2) shows as the rights of the group.
    """
    pem = _read_private(private_key_path, readable=0o040 if guarded else 0)
    identity = Identity(_seed(pem, private_key_path), private_key_path, certificate_path)
    check_certificate(private_key_path, certificate_path)
    return identity


def load_public_key(private_key_path: Path) -> bytes:
    """The public half alone, where no certificate is there yet. Raises :class:`KeyFileError`."""
    return bytes(SigningKey(_seed(_read_private(private_key_path), private_key_path)).verify_key)


def _read_private(path: Path, readable: int = 0) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_MAX_BYTES)
    except FileNotFoundError:
        raise KeyFileError(f"{path}: no key here; run: offgrid-gateway keygen") from None
    except OSError as error:
        raise KeyFileError(f"{path}: the key cannot be read: {error.strerror}") from error
    if mode & 0o077 & ~readable:
        raise KeyFileError(f"{path}: others can read this key (mode {mode:04o}); run: chmod 600 {path}")
    return content


def _seed(pem: bytes, path: Path) -> bytes:
    try:
        der = _unarmoured(pem)
    except ValueError:
        raise KeyFileError(f"{path}: not a private key; expected unencrypted PKCS #8 in PEM") from None
    if not der.startswith(_PKCS8_ED25519) or len(der) != len(_PKCS8_ED25519) + _SEED_BYTES:
        raise KeyFileError(f"{path}: not an Ed25519 key; move it away and run: offgrid-gateway keygen")
    return der[-_SEED_BYTES:]


def _unarmoured(pem: bytes) -> bytes:
    """The DER inside one PEM block (RFC 7468); raises :class:`ValueError`."""
    lines = pem.decode("ascii").split()
    begin, body, end = lines[:3], lines[3:-3], lines[-3:]
    if begin != _BEGIN or end != _END:
        raise ValueError("no PRIVATE KEY block")
    return b64decode("".join(body), validate=True)


def check_certificate(private_key_path: Path, path: Path) -> None:
    """Raises :class:`KeyFileError` unless ``path`` is a certificate for this very key."""
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise KeyFileError(f"{path}: no certificate here; run: offgrid-gateway keygen") from None
    except OSError as error:
        raise KeyFileError(f"{path}: the certificate cannot be read: {error.strerror}") from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path, private_key_path)
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            raise KeyFileError(
                f"{path}: this certificate is for another key than {private_key_path}"
            ) from None
        raise KeyFileError(f"{path}: not a certificate in PEM ({error.reason or error})") from None
