"""Which certificate goes to the coordinator: the configured one, or what has replaced it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from gateway.core.certificate import is_self_issued
from gateway.errors import KeyFileError
from gateway.keys.certificates import Certificates
from gateway.keys.generate import NOT_AFTER, make_keys

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
WITHOUT_END_MS = int(NOT_AFTER.timestamp()) * 1000


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(key: Path, *, days: int, issuer: str = "gw") -> bytes:
    """For a gateway's key; by itself, or by an authority that nobody needs to know."""
    private = load_pem_private_key(key.read_bytes(), password=None)
    assert isinstance(private, Ed25519PrivateKey)
    signer = private if issuer == "gw" else Ed25519PrivateKey.generate()
    end = BEGUN + timedelta(days=days)
    builder = x509.CertificateBuilder(named(issuer), named("gw"), private.public_key(), 7, BEGUN, end)
    return builder.sign(signer, None).public_bytes(Encoding.PEM)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_keys(tmp_path / "gateway.key", tmp_path / "gateway.crt", "gw")
    return tmp_path / "gateway.key"


@pytest.fixture
def certificates(tmp_path: Path, key: Path) -> Certificates:
    """An own one of thirty days."""
    (tmp_path / "gateway.crt").write_bytes(certificate(key, days=30))
    return Certificates(tmp_path / "gateway.crt", tmp_path / "rotated.crt")


def test_a_renewed_certificate_is_for_the_same_key_and_has_no_end(
    certificates: Certificates, key: Path
) -> None:
    assert certificates.in_force() == certificates.configured
    certificates.renew(key, "gw")
    assert certificates.in_force() == certificates.rotated
    validity = certificates.validity()
    assert validity is not None and validity.not_after_ms == WITHOUT_END_MS
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificates.rotated, key)


def test_whoever_puts_another_file_in_place_means_that_one(certificates: Certificates, key: Path) -> None:
    certificates.renew(key, "gw")
    certificates.configured.write_bytes(certificate(key, days=60))
    assert certificates.in_force() == certificates.configured
    certificates.renew(key, "gw")
    assert certificates.in_force() == certificates.rotated


@pytest.mark.parametrize("kept", [0, 40, 100, 300])
def test_a_torn_replacement_leaves_the_configured_one_in_force(
    certificates: Certificates, key: Path, kept: int
) -> None:
    certificates.renew(key, "gw")
    certificates.rotated.write_bytes(certificates.rotated.read_bytes()[:kept])
    assert certificates.in_force() == certificates.configured


def test_an_authority_s_certificate_is_not_the_gateway_s_own(certificates: Certificates, key: Path) -> None:
    assert certificates.is_own()
    by_authority = certificate(key, days=30, issuer="authority")
    certificates.configured.write_bytes(by_authority)
    assert not certificates.is_own()
    assert not is_self_issued(by_authority)


def test_a_key_that_cannot_be_read_is_told_and_changes_nothing(certificates: Certificates, key: Path) -> None:
    with pytest.raises(KeyFileError, match="no new certificate can be made"):
        certificates.renew(key.with_name("nonesuch"), "gw")
    assert certificates.in_force() == certificates.configured
