"""When a certificate begins and ends and who issued it, from its PEM; enough DER for that and no more.

``ssl`` tells the dates of authorities only, and the ``cryptography`` package costs 13 MiB of memory.
"""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import UTC, datetime

from gateway.core.certificate_dates import Validity

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_EXPLICIT_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18
_FORMATS = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}


def read_validity(pem: bytes) -> Validity:
    """The dates of the first certificate in ``pem``. Raises ValueError where there is none."""
    _, validity, _ = _named_fields(pem)
    begin_tag, begin, rest = _element(validity)
    end_tag, end, _ = _element(rest)
    return Validity(_unix_ms(begin_tag, begin), _unix_ms(end_tag, end))


def is_self_issued(pem: bytes) -> bool:
    """Whether it names no other authority than itself (RFC 5280 3.2). Raises ValueError as above."""
    issuer, _, subject = _named_fields(pem)
    return issuer == subject


def _named_fields(pem: bytes) -> tuple[bytes, bytes, bytes]:
    """Issuer, validity and subject of the first certificate in ``pem``."""
    block = _BLOCK.search(pem)
    if block is None:
        raise ValueError("no certificate in PEM")
    _, certificate, _ = _element(b64decode(b"".join(block[1].split()), validate=True))
    _, rest, _ = _element(certificate)  # tbsCertificate, RFC 5280 section 4.1
    if rest[:1] == bytes([_EXPLICIT_VERSION]):
        rest = _element(rest)[2]
    for _ in ("serialNumber", "signature"):
        rest = _element(rest)[2]
    _, issuer, rest = _element(rest)
    _, validity, rest = _element(rest)
    _, subject, _ = _element(rest)
    return issuer, validity, subject


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content and what follows (X.690, definite lengths)."""
    if len(data) < 2:
        raise ValueError("the certificate ends early")
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise ValueError("the certificate ends early")
    return data[0], data[start : start + length], data[start + length :]


def _unix_ms(tag: int, content: bytes) -> int:
    """RFC 5280 4.1.2.5: two digits of a year count from 1950 to 2049."""
    if tag not in _FORMATS:
        raise ValueError(f"tag 0x{tag:02x} is no time")
    text = content.decode("ascii")
    moment = datetime.strptime(text, _FORMATS[tag]).replace(tzinfo=UTC)
    if tag == _UTC_TIME:
        moment = moment.replace(year=int(text[:2]) + (1900 if int(text[:2]) >= 50 else 2000))
    return int(moment.timestamp()) * 1000
