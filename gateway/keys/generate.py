"""A new Ed25519 key and its certificate; only ``keygen`` imports this, for ``cryptography`` is large."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import KeyFileError
from gateway.keys import durable
from gateway.keys.identity import Identity, load_identity, load_public_key

KEY_MODE = 0o600
CERTIFICATE_MODE = 0o644

# A Pi without a clock battery may be made and started in 1970; the certificate must be valid then too. It is
# trusted because its key is registered, not until a date: RFC 5280 4.1.2.5 has 99991231235959Z for that.
NOT_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Made:
    """The identity that stands now, and which of the files are new."""

    identity: Identity
    new_files: tuple[Path, ...]


def make_keys(
    private_key_path: Path, certificate_path: Path, gateway_id: str, owner: durable.Owner | None = None
) -> Made:
    """Write whichever of the two files is missing, durably, and load both; what is there stays as it is.

    The key is written first: a crash between the two leaves a key without a certificate, and the next call
    makes the certificate for it. Raises :class:`KeyFileError` also for a certificate without its key.
    """
    owner = owner or durable.Owner()
    new_files = []
    if not private_key_path.exists():
        if certificate_path.exists():
            raise KeyFileError(
                f"{certificate_path}: a certificate without its key {private_key_path}; move it away first"
            )
        _create(private_key_path, _new_key(), KEY_MODE, owner)
        new_files.append(private_key_path)
    load_public_key(private_key_path)
    if not certificate_path.exists():
        certificate = self_signed(private_key_path.read_bytes(), gateway_id)
        _create(certificate_path, certificate, CERTIFICATE_MODE, owner)
        new_files.append(certificate_path)
    return Made(load_identity(private_key_path, certificate_path), tuple(new_files))


def self_signed(private_key_pem: bytes, gateway_id: str) -> bytes:
    """A certificate (PEM) for an Ed25519 key: CN = gateway id, for TLS clients, without an end (RFC 8410)."""
    key = cast("Ed25519PrivateKey", serialization.load_pem_private_key(private_key_pem, password=None))
    public = key.public_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway_id)])
    key_id = x509.SubjectKeyIdentifier.from_public_key(public)
    builder = (
        x509.CertificateBuilder(name, name, public, x509.random_serial_number(), NOT_BEFORE, NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_signs_only(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(key_id, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
    )
    return builder.sign(key, algorithm=None).public_bytes(serialization.Encoding.PEM)


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _signs_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _create(path: Path, content: bytes, mode: int, owner: durable.Owner) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.create(path, content, mode=mode, owner=owner)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from error
