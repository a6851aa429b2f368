"""A certificate's dates come out of its DER as OpenSSL prints them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.certificate import read_validity


def certificate(begin: datetime, end: datetime) -> bytes:
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gw" * 30)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begin, end)
    return builder.sign(key, None).public_bytes(Encoding.PEM)


MOMENTS = [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC),
    datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),  # the last in two digits
    datetime(2050, 1, 1, tzinfo=UTC),  # the first in four
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
]


GENUINE = certificate(MOMENTS[0], MOMENTS[1])


@pytest.mark.parametrize("end", MOMENTS[1:])
def test_both_dates_are_read_in_either_of_their_forms(end: datetime) -> None:
    validity = read_validity(b"some words before it\n" + certificate(MOMENTS[0], end))
    assert validity.not_before_ms == 0
    assert validity.not_after_ms == int(end.timestamp()) * 1000


@given(st.data())
def test_a_damaged_certificate_is_a_value_error_and_nothing_else(data: st.DataObject) -> None:
    pem = GENUINE
    at = data.draw(st.integers(0, len(pem) - 1))
    damaged = pem[:at] + data.draw(st.binary(max_size=3)) + pem[at + 1 :]
    try:
        read_validity(damaged)
    except ValueError:
        pass


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_a_value_error(pem: bytes) -> None:
    with pytest.raises(ValueError, match="certificate"):
        read_validity(pem)
